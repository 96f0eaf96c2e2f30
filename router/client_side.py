"""What a request needs of the connection that it came over."""

import asyncio
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from router.core import Core


class CarriedExchange(Protocol):
    """A request and its answer, as the connection sees them."""

    close: bool
    """The connection ends after this answer."""
    more_body: bool


class ClientSide(Protocol):
    """The client's connection, as an exchange sees it."""

    core: Core
    transport: asyncio.Transport
    flow: FlowControl
    max_body_bytes: int

    def general_lines(self) -> bytes:
        """Header lines of every answer that is made here: the date."""

    def is_last(self) -> bool:
        """The connection ends after this answer although the client would keep it."""

    def exchange_ended(self, exchange: CarriedExchange) -> None:
        """The answer is written in full."""
