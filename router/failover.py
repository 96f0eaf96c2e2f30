"""What to do when a replica fails, and how a broken stream ends. PURE."""

from enum import Enum

_LONGEST_HELD_EVENT_BYTES = 256 * 1024


class Remedy(Enum):
    """The next step after a failure."""

    SAME_REPLICA = "same_replica"
    """Again, over a new connection: the kept one had been closed as we wrote."""
    NEXT_REPLICA = "next_replica"
    END_STREAM = "end_stream"
    """Finish the stream properly, with an error event as its last."""
    ABORT = "abort"
    """Cut the client's connection: nothing that can still be said would be read as an error."""


def remedy(*, head_sent: bool, stale: bool, event_stream: bool) -> Remedy:
    """The remedy for a lost upstream connection.

    `head_sent`: the client has the answer's status already. `stale`: a kept connection failed without one byte of
    this answer. `event_stream`: the answer is a chunked stream of events that we can still add to.
    """
    if not head_sent:
        return Remedy.SAME_REPLICA if stale else Remedy.NEXT_REPLICA
    return Remedy.END_STREAM if event_stream else Remedy.ABORT


_NOT_FOR_THE_CLIENT = {401: "unauthorized", 503: "unavailable"}


def refused_by_replica(status: int) -> str | None:
    """A reason to ask another replica although this one answered; None for every answer that is the client's.

    401 means that *our* token is wrong there (the replica has restarted), 503 that it takes nothing (it drains, its
    engine has died): neither has begun to work on the request.
    """
    return _NOT_FOR_THE_CLIENT.get(status)


class EventTail:
    """Holds back the unfinished event at the end of what has come.

    An error event after half an event would be read as that event's rest, so only whole events are passed on; half of
    one is of no use to a client anyway.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def pass_on(self, data: bytes) -> bytes:
        """The whole events of what was held and `data`. An event longer than 256 KiB is not held."""
        if self._held:
            data = self._held + data
            self._held = b""
        if data.endswith((b"\n\n", b"\r\n\r\n")):
            return data
        end = max(_after_last(data, b"\n\n"), _after_last(data, b"\r\n\r\n"))
        if len(data) - end > _LONGEST_HELD_EVENT_BYTES:
            return data
        self._held = data[end:]
        return data[:end]

    def rest(self) -> bytes:
        """What is still held, for a stream that ended well."""
        held, self._held = self._held, b""
        return held


def _after_last(data: bytes, boundary: bytes) -> int:
    at = data.rfind(boundary)
    return 0 if at < 0 else at + len(boundary)
