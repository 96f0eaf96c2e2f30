"""Engines outside the cluster: what an admin may name as one. PURE: no name is looked up, nothing is asked."""

import re
import socket
from collections.abc import Container, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

from msgspec import structs

from router.types import ExternalEngine

ENGINE_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_PRINTABLE = re.compile(r"[\x21-\x5b\x5d-\x7e]{1,2000}")
"""ASCII without spaces, control characters and the backslash, which readers of URLs understand in different ways."""
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_METADATA = frozenset({
    "metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal",
    "100.100.100.200", "192.0.0.192", "fd00:ec2::254",
})  # fmt: skip
"""Where clouds hand their machines' credentials out, beside the link-local addresses."""


def normal_url(text: str) -> str:
    """The base URL `text` as it is stored: scheme and host in lower case, no slash at its end.

    Raises ValueError with what to write instead. The message never repeats `text`, which may hold a secret.
    """
    parts = _parts(text.strip())
    if parts.scheme not in ("http", "https"):
        raise ValueError("write the whole address, beginning with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("leave out the user name and password; a key has a place of its own")
    if "?" in text or "#" in text:
        raise ValueError("leave out everything from the first ? or # on")
    host = parts.hostname
    if not host:
        raise ValueError("name a host, as in https://engine.example/v1")
    _check_host(host)
    port = "" if parts.port is None else f":{parts.port}"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{port}{parts.path.rstrip('/')}"


def _parts(text: str) -> SplitResult:
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("use printable ASCII without spaces and backslashes; write other letters as xn-- or %..")
    try:
        parts = urlsplit(text)
        if parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError("this is no address; it should look like https://engine.example:8000/v1") from None
    return parts


def _check_host(host: str) -> None:
    address = _address(host)
    if address is None and not _HOST_NAME.fullmatch(host):
        raise ValueError("this host is neither a name nor an address")
    if (address is not None and address.is_link_local) or host.rstrip(".") in _METADATA or str(address) in _METADATA:
        raise ValueError("link-local and metadata addresses are refused: they give away a machine's own credentials")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` is, in any notation that the C library understands; None for a name."""
    try:
        found = ip_address(host)
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host.rstrip(".")))  # 2852039166, 0xa9.254.43518 and their like
        except OSError:
            return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def engine_name(url: str) -> str:
    """A name for the engine at `url`, made of its host and port. Not unique, and no check of the URL."""
    after_scheme = url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", after_scheme).strip("-._")[:63] or "outside"


def with_stored_keys(
    wanted: Iterable[ExternalEngine], names: Container[str], stored: Iterable[ExternalEngine]
) -> tuple[ExternalEngine, ...]:
    """`wanted`, of which those in `names` have the key of the stored engine of the same name and URL.

    Another URL never gets the key: whoever may change a deployment must not be able to read it that way.
    """
    keys: Mapping[tuple[str, str], str] = {(each.name, each.url): each.key for each in stored}
    return tuple(
        structs.replace(each, key=keys.get((each.name, each.url), "")) if each.name in names else each
        for each in wanted
    )
