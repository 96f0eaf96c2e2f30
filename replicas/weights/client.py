"""Asks a host's process for a revision, and follows how far it is."""

from collections.abc import AsyncGenerator

import httpx
import msgspec

from replicas.host_types import FetchLine, HostRecord
from replicas.weights.errors import HostAwayError
from replicas.weights.manifest import DIGEST_PREFIX

_CONNECT_S = 5.0
_SILENCE_S = 15.0
"""A host says twice a second how far it is."""
_decoder: msgspec.json.Decoder[FetchLine] = msgspec.json.Decoder(FetchLine)


async def follow_fetch(host: HostRecord, revision: str, library_path: str = "") -> AsyncGenerator[FetchLine]:
    """Have the host fetch `revision`: progress, then `Fetched` or `FetchRefused` as the last line.

    `library_path` is where the library has it; a host that sees it there too copies nothing.
    Raises HostAwayError when the host cannot be reached or stops talking; the fetch goes on there if the host does.
    """
    url = f"http://{host.address}:{host.port}/revisions/{revision.removeprefix(DIGEST_PREFIX)}/fetch"
    headers = {"authorization": f"Bearer {host.token}"}
    timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
    try:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=timeout) as client,
            client.stream("POST", url, headers=headers, params={"library_path": library_path}) as answer,
        ):
            if not answer.is_success:
                raise HostAwayError(f"The host {host.address} answered {answer.status_code} when asked for {revision}.")
            async for line in answer.aiter_lines():
                yield _decoder.decode(line)
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        raise HostAwayError(
            f"The process of the host {host.address} cannot be asked for weights: {error!r}."
        ) from error
