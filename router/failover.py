"""What is tried again after a failure and how often, and how a broken stream is kept readable. PURE."""

from collections import deque

_WINDOW_S = 10.0
_SHARE = 0.2
_AT_LEAST = 3
_LONGEST_HELD_EVENT_BYTES = 256 * 1024
LONGEST_FIRST_EVENT_BYTES = 8 * 1024 * 1024
"""The first event of a stream that tells token ids holds those of the whole prompt."""


_ELSEWHERE = {401: "unauthorized", 503: "unavailable"}
_ELSEWHERE_OUTSIDE = {**_ELSEWHERE, 403: "unauthorized", 500: "error", 502: "error", 504: "error"}
_BUSY = 429


def refused_by_replica(status: int, *, external: bool, last: bool) -> str | None:
    """A reason to ask another replica although this one answered; None for every answer that is the client's.

    401 means that *our* token is wrong there (the replica has restarted), 503 that it takes nothing (it drains, its
    engine has died): neither has begun to work on the request. An engine outside that is busy or broken is passed
    over too; that it is busy is the answer if it is the `last` there is.
    """
    if not external:
        return _ELSEWHERE.get(status)
    if status == _BUSY:
        return None if last else "busy"
    return _ELSEWHERE_OUTSIDE.get(status)


class RetryBudget:
    """How many requests may be sent again: a fifth of those of the last ten seconds, and three at least.

    Without a bound, replicas that fail under load are sent more load. Times are monotonic seconds.
    """

    __slots__ = ("_requests_at", "_retries", "requests_total")

    def __init__(self) -> None:
        self.requests_total = 0
        """Raised by the caller with each request."""
        self._requests_at: deque[tuple[float, int]] = deque()
        self._retries: deque[float] = deque()

    def tick(self, now: float) -> None:
        """Called now and then: notes how many requests there were by `now`."""
        self._requests_at.append((now, self.requests_total))
        while len(self._requests_at) > 1 and self._requests_at[1][0] <= now - _WINDOW_S:
            self._requests_at.popleft()

    def take(self, now: float, in_flight: int) -> bool:
        """Whether one more request may be sent again now; counts it if so.

        `in_flight`: requests under way, which count even if they came before the window.
        """
        while self._retries and self._retries[0] <= now - _WINDOW_S:
            self._retries.popleft()
        before = self._requests_at[0][1] if self._requests_at else 0
        recent = max(self.requests_total - before, in_flight)
        if len(self._retries) >= max(_AT_LEAST, _SHARE * recent):
            return False
        self._retries.append(now)
        return True


class EventTail:
    """Holds back the unfinished event at the end of what has come.

    An error event after half an event would be read as that event's rest, so only whole events are passed on; half of
    one is of no use to a client anyway.
    """

    __slots__ = ("_held", "_longest_bytes")

    def __init__(self, longest_bytes: int = _LONGEST_HELD_EVENT_BYTES) -> None:
        """An event longer than `longest_bytes` is not held."""
        self._longest_bytes = longest_bytes
        self._held = b""

    def pass_on(self, data: bytes) -> bytes:
        """The whole events of what was held and `data`."""
        if self._held:
            data = self._held + data
            self._held = b""
        if data.endswith((b"\n\n", b"\r\n\r\n")):
            return data
        end = max(_after_last(data, b"\n\n"), _after_last(data, b"\r\n\r\n"))
        if len(data) - end > self._longest_bytes:
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
