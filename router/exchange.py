"""One request on the hot path, from its head to the last byte of its answer."""

import time

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from router.answer import NOTHING
from router.answer_stream import AnswerStream
from router.attempt import Attempt
from router.client_side import ClientSide
from router.dispatcher import Dispatcher
from router.errors import NO_KEY, QUARANTINED, Refusal, RequestRefusedError
from router.external import external_lines, external_target, with_model
from router.failover import refused_by_replica
from router.finished import CLIENT_GONE, REPLICA_LOST, Times, finished_of
from router.headers import AnswerHead, Headers, labels_of, request_head, revision_in
from router.job import job_for
from router.progress import FIRST_S, began_comment, error_event, refusal_event
from router.replica_view import ReplicaView
from router.request_head import RequestHead, Route, parse_request_head
from router.request_side import RequestSide
from router.types import Priority
from router.wire import LAST_CHUNK, chunk, digest_of, refusal_bytes

_OWN_LINES = b"%bx-roundhouse-queue-ms: %d\r\nx-request-id: %b\r\n"
_DEATHS = ("reset", "closed", "refused", "connect_timeout")
"""What a request that had been sent may have caused: the connection ended, and perhaps nobody takes a new one."""


class Exchange(RequestSide):
    """States: reading the body, waiting for its turn, waiting for a replica, being carried, complete.

    uvicorn queues pipelined requests by `response_complete`, so answers leave in order, also between exchanges
    and ASGI requests.
    """

    # Defaults live in the class: most of them hold for most requests, and setting thirty attributes costs time.
    _labels = b""
    """Header lines of the answer that has begun, which say who gives it and with which weights."""
    _attempt: Attempt | None = None
    _answer_stream: AnswerStream
    _view: ReplicaView | None = None
    _status = 0
    _first_at = 0.0
    _chunked = False
    _unstreamed = b""
    """Of an answer that is no stream, though a stream has begun: it goes as one event."""

    def __init__(
        self, client: ClientSide, route: Route, target: bytes, lines: bytes, request_id: bytes, *, http10: bool
    ) -> None:
        super().__init__(client, route, request_id)
        self._target = target
        self.lines = lines
        self._http10 = http10
        self._out: list[bytes] = []

    # The client's side

    def abandon(self) -> None:
        """The client has gone. What waits or runs for it ends at once."""
        if self.response_complete:
            return
        self.response_complete = True
        if self._attempt is not None:
            self._attempt.cancel()
        self._finish(CLIENT_GONE)

    def pause(self) -> None:
        """The client is slow: read no more for it."""
        if self._attempt is not None:
            self._attempt.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self._attempt is not None:
            self._attempt.resume()

    def _dispatch(self) -> None:
        if self.refusal is not None:
            self.turn_away(self.refusal)
            return
        core, route, body = self._client.core, self._route, self.body
        try:
            head = parse_request_head(body, generates=route.generates)
        except RequestRefusedError as refused:
            self.turn_away(refused.refusal)
            return
        if self.credential is None:
            self.turn_away(NO_KEY)
            return
        dispatcher = core.table.models.get(head.model)
        if dispatcher is None:
            try:
                dispatcher = self._behind_alias(head)
            except RequestRefusedError as refused:
                self.turn_away(refused.refusal)
                return
            body = self.body
        digest = 0
        if core.quarantine.records:
            digest = digest_of(body)
            if core.quarantine.holds(digest, self._began):
                self.turn_away(QUARANTINED)
                return
        self._dispatcher = dispatcher
        dispatcher.meter.in_flight += 1
        job = self._job = job_for(
            self,
            head,
            entry=dispatcher.entry,
            estimates=dispatcher.estimates,
            tenant=self.tenant,
            tenant_weight=self.credential.tenant_weight,
            priority=self.priority,
            now=self._began,
            size_bytes=len(body),
        )
        job.digest = digest
        if self.session:
            job.session = self.session
        continues = head.stream and dispatcher.entry.routing.continue_streams
        self._answer_stream = AnswerStream(route, continues=continues)
        dispatcher.submit(job)
        if self.wants_progress and job.waits and head.stream and route.generates and not self._http10:
            self.tell_later(FIRST_S)

    def _behind_alias(self, head: RequestHead) -> Dispatcher:
        core = self._client.core
        dispatcher = core.table.resolve(head.model, self.session or head.session, core.rng.random())
        if isinstance(dispatcher, Refusal):
            raise RequestRefusedError(dispatcher)
        # Engines know their model by its own name, and answers carry that, too.
        self.body = with_model(self.body, dispatcher.entry.name)
        return dispatcher

    # The dispatcher's side (Carrier)

    def send_to(self, replica: ReplicaView) -> None:
        self._view = replica
        client = self._client
        target, body = self._answer_stream.request_for(self._target, self.body, replica)
        lines = self.lines
        if replica.external:
            target, lines = external_target(replica, target), external_lines(lines)
            if replica.remote_model:
                try:
                    body = with_model(body, replica.remote_model)
                except RequestRefusedError as refused:
                    self.turn_away(refused.refusal)
                    return
        head = request_head(target, replica.head, lines, self.request_id, len(body))
        self._attempt = Attempt(self, client.core.pool, replica, head, body)
        self._attempt.begin(paused=client.flow.write_paused)

    def turn_away(self, refusal: Refusal) -> None:
        """Writes an answer of the router's own, or ends the one that has begun."""
        if self._head_sent:
            self._break_off()
            return
        if self._told:
            self._write([chunk(refusal_event(refusal, anthropic=self._route.anthropic)), LAST_CHUNK])
            self._end(refusal.status)
            return
        self.close = self.close or self._client.is_last()
        self._write([refusal_bytes(refusal, self._client.general_lines(), self.request_id, close=self.close)])
        self._end(refusal.status)

    # The replica's side (Answered)

    def on_head(self, status: int, headers: Headers) -> None:
        if status != 200 and (reason := self._refused_by(status)) is not None:
            self._try_next(reason, died=False)
            return
        head = AnswerHead(headers)
        if not self._head_sent:
            self._begin_answer(status, head)
        elif self._view is not None and revision_in(self._labels_by(self._view, head)) != revision_in(self._labels):
            self._try_next("revision", died=False)  # other weights must not go on with what the client has read

    def _begin_answer(self, status: int, head: AnswerHead) -> None:
        self._status = status
        self._answer_stream.began(status, is_events=head.is_events)
        out = self._out = [STATUS_LINE[status], head.lines]
        if self._view is not None and self._job is not None:
            self._labels = self._labels_by(self._view, head)
            if self._told:
                self._chunked = True
                self._out = [chunk(began_comment(self._labels, self._job.queue_s))]
                return
            out.append(_OWN_LINES % (self._labels, self._job.queue_s * 1000, self.request_id))
        if head.length:
            out += (b"content-length: ", head.length, b"\r\n")
        elif status not in (204, 304) and self._http10:
            self.close = True
        elif status not in (204, 304):
            self._chunked = True
            out.append(b"transfer-encoding: chunked\r\n")
        self.close = self.close or self._client.is_last()
        out.append(b"connection: close\r\n\r\n" if self.close else b"\r\n")

    @staticmethod
    def _labels_by(view: ReplicaView, head: AnswerHead) -> bytes:
        return view.labels if view.external else labels_of(view.labels, head.revision)

    def _refused_by(self, status: int) -> str | None:
        view, job, dispatcher = self._view, self._job, self._dispatcher
        if self._head_sent:
            return "not_continued"
        if status not in STATUS_LINE:
            return "malformed"
        if view is None or job is None or dispatcher is None:
            return None
        return refused_by_replica(status, external=view.external, last=not dispatcher.has_another_for(job))

    def on_body(self, fragments: list[bytes], *, complete: bool) -> None:
        out = self._out
        if not out and not fragments and not complete:
            return
        data = fragments[0] if len(fragments) == 1 else b"".join(fragments)
        stream = self._answer_stream
        if stream.is_events:
            data = stream.pass_on(data, complete=complete)
            broken = stream.failed or ("cut_short" if complete and not stream.whole else None)
            if broken is not None:
                self._lost_in_answer(broken, data, died=True)
                return
        else:
            stream.keep(data)
            if self._told:
                self._unstreamed += data
                data = error_event(self._unstreamed, anthropic=self._route.anthropic) if complete else b""
        if data:
            self._data_came()
            out.append(chunk(data) if self._chunked else data)
        elif not complete and (stream.is_events or self._told):
            return  # its head waits for the first event: until then another replica can take over unseen
        if complete and self._chunked:
            out.append(LAST_CHUNK)
        self._write_answer(out)
        if complete:
            self._attempt = None
            self._end(self._status)

    def _write_answer(self, out: list[bytes]) -> None:
        self._out = []
        if not out:
            return
        if not self._head_sent:
            if self._answer_stream.is_events:
                self._note_digest()
            self._head_sent = True
            self.body = b""
        self._write(out)

    def _data_came(self) -> None:
        """Something of the answer goes to the client: the first token, or another one."""
        job, dispatcher = self._job, self._dispatcher
        if job is None or dispatcher is None:
            return
        now = self._client.core.clock.now()
        stream = self._answer_stream
        if stream.last_data_at:
            if stream.is_events:
                dispatcher.meter.by_class[job.priority].inter_token.observe(now - stream.last_data_at)
        else:
            self._first_at = now
            dispatcher.meter.by_class[job.priority].first_token.observe(now - self._began, self.request_id)
            if dispatcher.canary is not None and job.reservation is not None:
                took_s = now - job.reservation.at
                dispatcher.canary.first_data(self._labels, self._status, took_s, streamed=stream.is_events)
        if stream.is_events and job.reservation is not None and job.reservation.prefilling:
            dispatcher.first_token(job, now)
        stream.last_data_at = now

    def on_failure(self, reason: str, *, stale: bool) -> None:
        if stale and self._attempt is not None and self._dispatcher is not None:
            self._dispatcher.meter.retry("stale")
            self._attempt.over_a_new_connection()
        else:
            self.on_lost(reason, sent=True)

    def on_lost(self, reason: str, *, sent: bool) -> None:
        self._attempt = None
        if self._head_sent:
            self._lost_in_answer(reason, b"", died=sent)
        else:
            self._try_next(reason, died=sent and reason in _DEATHS)

    # Failures

    def _try_next(self, reason: str, *, died: bool) -> None:
        """Nothing has reached the client, or what has can be continued: another replica."""
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None
        if not self._head_sent:
            self._out = []
            self._status = 0
            self._chunked = False
            self._answer_stream.anew()
        if self._job is not None and self._dispatcher is not None:
            self._note_digest()
            self._dispatcher.failed(self._job, reason, died=died)

    def _note_digest(self) -> None:
        """Before the body is dropped: by it the request is known should it come again."""
        if self._job is not None and not self._job.digest and self.body:
            self._job.digest = digest_of(self.body)

    def _lost_in_answer(self, reason: str, last: bytes, *, died: bool) -> None:
        """The replica was lost, or its engine failed, in the middle of the answer. `last`: what still came of it."""
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None
        stream, job, dispatcher = self._answer_stream, self._job, self._dispatcher
        if not (self._head_sent or last):
            self._try_next(reason, died=died)
            return
        if job is None or dispatcher is None:
            return
        if last:
            self._write_answer([*self._out, chunk(last) if self._chunked else last])
        rest = stream.resume(None if self._view is None else self._view.max_model_len)
        if rest == b"" and not dispatcher.others_have(revision_in(self._labels), self._view):
            rest = None  # nobody could go on with what the client has read
        if rest is None:
            dispatcher.meter.continued("not_eligible" if stream.ineligible else "impossible")
            dispatcher.failed(job, reason, died=died, again=False)
            self._break_off()
        elif rest:
            dispatcher.meter.continued("finished")
            dispatcher.failed(job, reason, died=died, again=False)
            self._write([chunk(rest), LAST_CHUNK])
            self._end(self._status)
        else:
            dispatcher.meter.continued("continued")
            dispatcher.failed(job, reason, died=died)

    def _break_off(self) -> None:
        """The answer has begun and cannot be finished."""
        if not (self._chunked and self._answer_stream.is_events):
            # Nothing that can still be said would be read as an error.
            self.response_complete = True
            self._finish(REPLICA_LOST)
            self._client.transport.abort()
            return
        event = self._answer_stream.lost_event()
        self._write([chunk(event), LAST_CHUNK])
        self._end(REPLICA_LOST)

    # The end

    def _write(self, out: list[bytes]) -> None:
        data = b"".join(out)
        if self._dispatcher is not None:
            self._dispatcher.meter.response_bytes += len(data)
        self._client.transport.write(data)

    def _end(self, code: int) -> None:
        self.response_complete = True
        self._finish(code)
        self._client.exchange_ended(self)

    def _finish(self, code: int) -> None:
        """Gives back whatever is held and counts the request. Called once."""
        core, job, dispatcher = self._client.core, self._job, self._dispatcher
        # The two know each other: left to the garbage collector, hundreds of requests would lie in the CPU's caches.
        self._job = None
        now = core.clock.now()
        learnt = NOTHING
        if job is None or dispatcher is None:
            core.telemetry.unknown.ended(Priority.NORMAL, code, now - self._began, 0.0, self.request_id)
        else:
            canary = dispatcher.canary
            learnt = self._answer_stream.learnt(text=bool(job.chain.hashes) or canary is not None)
            if canary is not None and code == self._status and self._labels:
                canary.ended(self._labels, code, learnt)
            dispatcher.meter.in_flight -= 1
            dispatcher.ended(job, learnt, answered=code == self._status and code < 500)
            dispatcher.meter.ended(job.priority, code, now - self._began, job.queue_s, self.request_id)
        if self.credential is not None:
            core.key_use.note(self.credential, job, learnt)
        if core.observers:
            finished = finished_of(
                job,
                learnt,
                request_id=self.request_id,
                path=self._route.path,
                code=code,
                key_id="" if self.credential is None else self.credential.id,
                replica="" if self._view is None else self._view.replica_id,
                times=Times(self._began, self._first_at, now, time.time()),
                trace=self.trace,
            )
            for observe in core.observers:
                observe(finished)
