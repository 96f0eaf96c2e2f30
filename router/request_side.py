"""The client's half of an exchange: the request while it is read, until its turn comes or it is refused."""

from abc import ABC, abstractmethod

from router.client_side import ClientSide
from router.dispatcher import Dispatcher
from router.errors import Refusal
from router.job import Job
from router.progress import EVERY_S, progress_comment, stream_head
from router.request_head import Route
from router.trace_context import NO_TRACE
from router.types import Credential, Priority
from router.wire import chunk


class RequestSide(ABC):
    """What is known of a request, and its body."""

    # Defaults live in the class, as in `Exchange`.
    close = False
    """The connection ends after this answer."""
    expects_continue = False
    refusal: Refusal | None = None
    """Set as soon as it is known that the request is not carried."""
    credential: Credential | None = None
    tenant = ""
    session = b""
    wants_progress = False
    """The client wants to hear how far it is while its stream waits."""
    body: bytes | bytearray = b""
    more_body = True
    response_complete = False
    _job: Job | None = None
    _dispatcher: Dispatcher | None = None
    _head_sent = False
    """Something of an answer has gone to the client."""
    _told = False
    """The head of a stream is sent, and comments since, but nothing of an answer."""
    _turn = False
    _cut_short = False
    """The rest of the request is not read."""

    def __init__(self, client: ClientSide, route: Route, request_id: bytes) -> None:
        self._client = client
        self._route = route
        self.request_id = request_id
        self.priority = Priority.NORMAL
        self.trace = NO_TRACE
        self._began = client.core.clock.now()

    @abstractmethod
    def _dispatch(self) -> None:
        """The request is here in full, and its turn has come."""

    @abstractmethod
    def turn_away(self, refusal: Refusal) -> None:
        """Writes an answer of the router's own, or ends the one that has begun."""

    @abstractmethod
    def _write(self, out: list[bytes]) -> None:
        """Sends bytes to the client."""

    def start(self) -> None:
        """All requests before this one on the connection are answered."""
        self._turn = True
        if not self.more_body or self._cut_short:
            self._dispatch()
        elif self.expects_continue:
            if self.refusal is not None:
                # The client waits for a go-ahead; having sent no body it cannot tell us where the next request begins.
                self.refuse(self.refusal)
            else:
                self._client.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def add_body(self, data: bytes) -> bool:
        """Takes a piece of the body; False when it makes the body too large."""
        if self.refusal is not None:
            return True
        if not self.body:
            self.body = data
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += data
        return len(self.body) <= self._client.max_body_bytes

    def end_body(self) -> None:
        """The request is here in full."""
        self.more_body = False
        if self._turn:
            self._dispatch()

    def refuse(self, refusal: Refusal) -> None:
        """Answers with `refusal` in its turn and ends the connection: the rest of the request is not read."""
        self.refusal = refusal
        self.close = self._cut_short = True
        self.body = b""
        if self._turn and not self.response_complete:
            self.turn_away(refusal)

    # While it waits

    def tell_later(self, pause_s: float) -> None:
        """Begins, or goes on, to tell the client of the wait."""
        self._client.core.clock.later(pause_s, self._tell_progress)

    def _tell_progress(self) -> None:
        """Tells the client of the wait, as long as there is one."""
        job, dispatcher, client = self._job, self._dispatcher, self._client
        if self.response_complete or self._head_sent or job is None or dispatcher is None:
            return
        if job.waits:
            told = progress_comment(
                dispatcher.entry,
                ready=dispatcher.ready_replicas > 0,
                waited_s=client.core.clock.now() - self._began,
                queued=dispatcher.queue.count,
            )
            out = [chunk(told)]
            if not self._told:
                self._told = True
                self.close = self.close or client.is_last()
                out.insert(0, stream_head(client.general_lines(), self.request_id, close=self.close))
            self._write(out)
        self.tell_later(EVERY_S)
