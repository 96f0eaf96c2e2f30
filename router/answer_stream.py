"""The answer of one request while it passes by: read, kept to whole events, continued when its replica is lost.

PURE: bytes in, bytes out.
"""

from router.answer import NOTHING, Learnt, WholeAnswer, learnt_of_stream
from router.continuation import Continuable, Finish, Ineligible, Resume, continuation_request, eligible
from router.errors import replica_lost_event
from router.failover import LONGEST_FIRST_EVENT_BYTES, EventTail
from router.replica_view import ReplicaView
from router.request_head import Route
from router.sent_tokens import SentTokens

_OPENAI_STREAMS = (b"/v1/chat/completions", b"/v1/completions")


class AnswerStream:
    """One per request that is carried; lives through all its attempts."""

    __slots__ = (
        "_events",
        "_form",
        "_ids_asked",
        "_resume",
        "_route",
        "_sent",
        "_tail",
        "_verdict_due",
        "_whole",
        "is_events",
        "last_data_at",
    )

    def __init__(self, route: Route, *, continues: bool) -> None:
        """`continues`: the request is streamed, and the deployment wants its streams to survive."""
        self._route = route
        self._verdict_due = continues
        self._form: Continuable | None = None
        """None unless it is known that the stream may be continued."""
        self._ids_asked = b""
        """The client's body, asking for token ids."""
        self._resume: Resume | None = None
        self.last_data_at = 0.0
        """Monotonic seconds at which something last went to the client; 0 before the first."""
        self.anew()

    def anew(self) -> None:
        """Nothing has reached the client: the next attempt begins from the beginning."""
        self.is_events = False
        self._tail: EventTail | None = None
        self._sent: SentTokens | None = None
        self._whole: WholeAnswer | None = None
        self._events = 0

    # To the replica

    def request_for(
        self, target: bytes, body: bytes | bytearray, replica: ReplicaView
    ) -> tuple[bytes, bytes | bytearray]:
        """Target and body to send to `replica`."""
        if self._resume is not None:
            return self._resume.path, self._resume.body
        if self._verdict_due and replica.takes_token_ids:
            self._verdict_due = False
            verdict = eligible(self._route.path, body)
            if not isinstance(verdict, Ineligible):
                self._form, self._ids_asked = verdict
        return target, self._ids_asked if self._ids_asked and replica.takes_token_ids else body

    # From the replica

    def began(self, status: int, *, is_events: bool) -> None:
        """The head of the first attempt's answer has come."""
        self.is_events = is_events
        if is_events:
            self._tail = EventTail() if self._form is None else EventTail(LONGEST_FIRST_EVENT_BYTES)
            if self._route.path in _OPENAI_STREAMS:
                self._sent = SentTokens(self._form)
        elif status == 200 and self._route.generates:
            self._whole = WholeAnswer()

    def pass_on(self, data: bytes, *, complete: bool) -> bytes:
        """What of a stream's `data` goes to the client: whole events. An error event after half an event would be read
        as that event's rest. `complete`: nothing comes after it."""
        tail = self._tail
        if tail is None:
            return data
        data = tail.pass_on(data)
        if complete:
            data += tail.rest()
        if self._sent is not None:
            return self._sent.pass_on(data) if data else data
        self._events += data.count(b"\n\n")
        return data

    def keep(self, data: bytes) -> None:
        """A piece of an answer that is no stream of events; all of it goes to the client."""
        if self._whole is not None:
            self._whole.add(data)

    @property
    def failed(self) -> str | None:
        """Why what comes is not passed on any more, though the replica still writes; None while all is well."""
        return None if self._sent is None else self._sent.failed

    @property
    def whole(self) -> bool:
        """Whether an answer that has come to its end said so itself. A stream that just ends was cut."""
        sent = self._sent
        return sent is None or sent.done or sent.finish_reason is not None or sent.untraceable == "refused"

    # When the replica is lost

    @property
    def ineligible(self) -> bool:
        """Whether it was clear from the request that its stream cannot be continued."""
        return self._form is None

    def resume(self, max_model_len: int | None) -> bytes | None:
        """How to go on after the client has had a part of the stream.

        None: not at all. Empty: `request_for` asks for the rest now, and its events go through `pass_on`. Otherwise:
        these events end the stream as a whole one, nothing is left to generate.
        """
        if self._form is None or self._sent is None:
            return None
        step = continuation_request(self._form, self._sent, max_model_len)
        if isinstance(step, Finish):
            return step.events
        if not isinstance(step, Resume):
            return None
        self._resume = step
        self._tail = EventTail(LONGEST_FIRST_EVENT_BYTES)
        return b""

    def lost_event(self) -> bytes:
        """The event that ends a stream which cannot be continued."""
        return replica_lost_event(anthropic=self._route.anthropic)

    def learnt(self, *, text: bool) -> Learnt:
        """What is known of the answer so far. `text`: of an answer in one piece, that too; it costs some."""
        if self._sent is not None:
            return learnt_of_stream(self._sent)
        if self._whole is not None:
            return self._whole.learnt() if text else self._whole.counted()
        return Learnt(output_tokens=self._events) if self._events else NOTHING
