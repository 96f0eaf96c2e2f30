"""One attempt at a replica: connect if need be, send, and hand on what comes back."""

import asyncio
from typing import Protocol

from router.errors import ReplicaUnreachableError
from router.replica_view import ReplicaView
from router.upstream import AnswerSink, UpstreamConnection, UpstreamPool


class Answered(AnswerSink, Protocol):
    """Whose attempt it is. What comes of the answer goes straight there. An attempt that was cancelled says nothing."""

    def on_lost(self, reason: str, *, sent: bool) -> None:
        """The attempt is over without a whole answer. `sent`: the replica may have had the request."""


class Attempt:
    """Begun once; over with the last call to its owner, or by `cancel`. The owner forgets it then."""

    __slots__ = ("_body", "_connecting", "_connection", "_head", "_owner", "_paused", "_pool", "_view", "_was_sent")

    def __init__(
        self, owner: Answered, pool: UpstreamPool, view: ReplicaView, head: bytes, body: bytes | bytearray
    ) -> None:
        self._owner = owner
        self._pool = pool
        self._view = view
        self._head = head
        self._body = body
        self._connection: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._paused = False
        self._was_sent = False

    def begin(self, *, paused: bool) -> None:
        """Sends the request. `paused`: nothing is read of the answer until `resume`."""
        self._paused = paused
        connection = self._pool.take(self._view.address)
        if connection is not None:
            self._send(connection)
        else:
            self._connect()

    def cancel(self) -> None:
        """Cuts the connection, if there is one."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def over_a_new_connection(self) -> None:
        """Sends again: the kept connection had been closed as we wrote, or its replica died of what we wrote."""
        self._connection = None
        self._was_sent = True
        self._connect()

    def pause(self) -> None:
        """The client is slow: read no more for it."""
        self._paused = True
        if self._connection is not None:
            self._connection.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume_reading()

    def _connect(self) -> None:
        self._connecting = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        try:
            connection = await self._pool.connect(self._view.address)
        except ReplicaUnreachableError as unreachable:
            self._connecting = None
            self._owner.on_lost(unreachable.reason, sent=self._was_sent)
            return
        self._connecting = None
        self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        if self._paused:
            connection.pause_reading()
        connection.send(self._owner, self._head, self._body)
