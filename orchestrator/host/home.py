"""`ROUNDHOUSE_HOME`: everything to back up, and what must outlive one run."""

import fcntl
import hashlib
import ipaddress
import os
import secrets
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from orchestrator.errors import HostError

_SOCKET_PATH_ROOM = 38
"""Longest folder in which Ray's socket names, session folder included, fit into the 107 bytes that Linux allows."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """The Roundhouse that runs from this home now. Written by `up`, read by every other command."""

    pid: int
    url: str
    dashboard_url: str
    """Ray's dashboard, for a person who wants to look; it asks for the token in `ray.token`."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Ports that other machines or processes remember, kept from run to run where they are still free."""

    store: int
    ray: int
    dashboard: int
    orchestrator: int
    ray_client: int
    agent: int


class Home:
    """Paths below the home. Files that hold secrets are made with mode 0600."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.admin_key = root / "admin.key"
        self.store_password = root / "store.password"
        self.ray_token = root / "ray.token"
        self.library = root / "library"
        self.contents = self.library / "contents"
        self.cache = root / "cache"
        """Of a host that has joined: nothing to back up."""
        self.logs = root / "logs"
        self.store = root / "store"
        self.run = root / "run"
        self.node_config = self.run / "node.json"
        self.progress = self.run / "progress.jsonl"
        self.timings = root / "timings.json"
        self._instance = self.run / "instance.json"
        self._lock = self.run / "lock"
        self._ports = root / "ports.json"

    @classmethod
    def of_environment(cls) -> "Home":
        return cls(Path(os.environ.get("ROUNDHOUSE_HOME", "~/.roundhouse")).expanduser().absolute())

    @property
    def ray_folder(self) -> Path:
        """Ray's working folder; in the system's temporary folder when the home's path is too long for sockets."""
        inside = self.run / "ray"
        if len(str(inside)) <= _SOCKET_PATH_ROOM:
            return inside
        name = hashlib.sha256(str(self.root).encode()).hexdigest()[:10]
        return Path(tempfile.gettempdir()) / f"rh-{name}" / "r"

    def prepare(self) -> None:
        """Make the folders and, once, the secrets. Raises HostError when the place cannot be written."""
        try:
            for folder in (self.root, self.library, self.logs, self.store, self.run):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Ray makes its own folders writable for everyone; what is around them must not let others in.
            private = self.ray_folder.parent
            private.mkdir(parents=True, exist_ok=True, mode=0o700)
            if private.stat().st_uid != os.getuid():
                raise HostError(
                    f"{private} belongs to someone else. Remove it, or set ROUNDHOUSE_HOME to a short path."
                )
            private.chmod(0o700)
            for path, prefix in ((self.admin_key, "rh-"), (self.store_password, ""), (self.ray_token, "")):
                if not path.exists():
                    write_secret(path, prefix + secrets.token_urlsafe(32))
        except OSError as error:
            raise HostError(
                f"{self.root} cannot be used as ROUNDHOUSE_HOME: {error.strerror}. Set ROUNDHOUSE_HOME to a folder "
                "that you may write."
            ) from error

    def prune_ray_sessions(self) -> None:
        """Keep the logs of the newest Ray session; each start makes another one."""
        sessions = sorted(path for path in self.ray_folder.glob("session_2*") if path.is_dir())
        for session in sessions[:-1]:
            shutil.rmtree(session, ignore_errors=True)

    def lock(self) -> int:
        """Take the home for this process, and return the lock's descriptor. Raises HostError when it is taken."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            running = self.instance()
            who = f" (process {self.owner()}{f', {running.url}' if running else ''})"
            raise HostError(
                f"Roundhouse already runs from {self.root}{who}. Use it, stop it with `roundhouse down`, or set "
                "another ROUNDHOUSE_HOME."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor

    def owner(self) -> int | None:
        """Process that holds the lock; None when nobody does."""
        if not self.is_locked():
            return None
        text = self._lock.read_text()
        return int(text) if text.isdigit() else None

    def is_locked(self) -> bool:
        if not self._lock.exists():
            return False
        descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def instance(self) -> Instance | None:
        try:
            return msgspec.json.decode(self._instance.read_bytes(), type=Instance)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def write_instance(self, instance: Instance) -> None:
        write_secret(self._instance, msgspec.json.encode(instance).decode())

    def clear_instance(self) -> None:
        for path in (self._instance, self.node_config):
            path.unlink(missing_ok=True)

    def ports(self, address: str) -> Ports:
        """The ports of the last run if all are free, else new ones.

        Raises HostError for an address that this machine does not have.
        """
        require_own_address(address)
        with suppress(FileNotFoundError, msgspec.DecodeError):
            kept = msgspec.json.decode(self._ports.read_bytes(), type=Ports)
            if all(port_is_free(address, port) for port in msgspec.structs.astuple(kept)):
                return kept
        names = Ports.__struct_fields__
        chosen = Ports(**dict(zip(names, free_ports(address, len(names)), strict=True)))
        self._ports.write_bytes(msgspec.json.encode(chosen))
        return chosen


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def bind_error(address: str, port: int) -> OSError | None:
    """Why nothing could listen on `address` and `port` now, or None."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error
    return None


def port_is_free(address: str, port: int) -> bool:
    return bind_error(address, port) is None


def require_own_address(address: str) -> None:
    """Raise HostError unless `address` is an IPv4 address that this machine itself has."""
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        raise HostError(f"The node address must be an IPv4 address, not {address!r}.") from None
    if parsed.is_unspecified or bind_error(address, 0) is not None:
        raise HostError(
            f"{address} is not an address of this machine. Give one that `ip addr` shows and the others can reach."
        )


def free_ports(address: str, count: int) -> list[int]:
    """Ports free now, below the range from which the system hands out client ports."""
    found: list[int] = []
    while len(found) < count:
        port = 20000 + secrets.randbelow(12000)
        if port not in found and port_is_free(address, port):
            found.append(port)
    return found
