"""The token by which another machine joins: where Ray and the store are, and the secrets for both."""

import base64
import binascii
from pathlib import Path

import msgspec

from orchestrator.errors import InvalidRequestError

_PREFIX = "rhj-"


class JoinToken(msgspec.Struct, frozen=True):
    ray_address: str
    ray_token: str
    store_url: str


def join_token(ray_token: Path, ray_address: str, store_url: str) -> str:
    token = JoinToken(ray_address, ray_token.read_text().strip(), store_url)
    return _PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def parse_join_token(text: str) -> JoinToken:
    """Raises InvalidRequestError when `text` is not a whole token."""
    body = text.strip().removeprefix(_PREFIX)
    try:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        return msgspec.json.decode(raw, type=JoinToken)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise InvalidRequestError(
            "This is not a whole join token. Copy all of the line that `roundhouse node join-command` prints."
        ) from error
