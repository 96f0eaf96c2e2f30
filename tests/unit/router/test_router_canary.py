"""Which requests a canary gets, and what is counted of both revisions."""

from random import Random

import pytest

from replicas.types import ReplicaState
from router.answer import Learnt
from router.canary import CanarySplit
from router.errors import Refusal
from router.job import Job
from router.replica_view import ReplicaView, derive
from router.types import Canary

OLD, NEW = "sha256:old", "sha256:new"


class Nobody:
    """A carrier that is never called."""

    def send_to(self, replica: ReplicaView) -> None:
        raise AssertionError(replica)

    def turn_away(self, refusal: Refusal) -> None:
        raise AssertionError(refusal)


def replica(name: str, revision: str, *, busy: bool = False, state: ReplicaState = ReplicaState.READY) -> ReplicaView:
    view = ReplicaView(
        replica_id=name,
        model="m",
        revision=revision,
        state=state,
        address=("h", 1, False),
        head=b"",
        labels=labels(revision),
        limit=1,
        in_flight=int(busy),
    )
    derive(view, 0.0)
    return view


def labels(revision: str) -> bytes:
    return b"x-roundhouse-replica: r\r\nx-roundhouse-revision: %b\r\n" % revision.encode()


def job(session: bytes = b"", tried: tuple[str, ...] = ()) -> Job:
    made = Job(
        Nobody(), model="m", tenant="t", prompt_tokens=1, output_tokens=1, size_bytes=1, began=0.0, session=session
    )
    made.tried = tried
    return made


def split(share: float = 0.1) -> CanarySplit:
    return CanarySplit(Canary(id="s", revision=NEW, share=share))


def names(views: object) -> set[str]:
    return {view.replica_id for view in views}  # type: ignore[attr-defined]


def test_canary_gets_its_share_of_the_sessions_and_each_stays_on_its_side() -> None:
    it, replicas = split(0.1), [replica("a", OLD), replica("b", NEW)]
    sides = [it.allowed(job(b"session-%d" % number), replicas, 0.5) for number in range(4000)]
    assert abs(sum(names(side) == {"b"} for side in sides) - 400) < 80
    again = [it.allowed(job(b"session-%d" % number), replicas, 0.0) for number in range(4000)]
    assert [names(side) for side in sides] == [names(side) for side in again]


def test_canary_gets_its_share_of_requests_without_a_session_by_chance() -> None:
    it, replicas, rng = split(0.25), [replica("a", OLD), replica("b", NEW)], Random(1)
    on = sum(names(it.allowed(job(), replicas, rng.random())) == {"b"} for _ in range(4000))
    assert abs(on - 1000) < 110


def test_request_stays_on_its_side_when_it_is_sent_again() -> None:
    it, one = split(0.5), job()
    assert names(it.allowed(one, [replica("a", OLD), replica("b", NEW)], 0.1)) == {"b"}
    assert names(it.allowed(one, [replica("a", OLD), replica("b", NEW)], 0.9)) == {"b"}


@pytest.mark.parametrize(
    ("draw", "old", "new", "tried", "allowed"),
    [
        (0.0, {}, {"busy": True}, (), {"a", "b"}),  # a full canary keeps nobody waiting
        (0.9, {"busy": True}, {}, (), {"a"}),  # but gets no more than its share
        (0.0, {}, {"state": ReplicaState.STARTING}, (), {"a", "b"}),
        (0.9, {"state": ReplicaState.STARTING}, {}, (), {"a", "b"}),
        (0.0, {}, {}, ("b",), {"a", "b"}),  # it has failed this request
        (0.9, {}, {}, ("a",), {"a", "b"}),
    ],
)
def test_request_goes_to_the_other_side_only_where_its_own_cannot_take_it(
    draw: float, old: dict[str, bool], new: dict[str, bool], tried: tuple[str, ...], allowed: set[str]
) -> None:
    replicas = [replica("a", OLD, **old), replica("b", NEW, **new)]  # type: ignore[arg-type]
    assert names(split(0.1).allowed(job(tried=tried), replicas, draw)) == allowed


def test_canary_without_a_share_gets_nothing_while_others_are_ready() -> None:
    replicas = [replica("a", OLD), replica("b", NEW)]
    assert all(names(split(0.0).allowed(job(b"%d" % n), replicas, 0.0)) == {"a"} for n in range(100))


@pytest.mark.parametrize(
    ("learnt", "finish"),
    [
        (Learnt(5, text="Yes", finish_reason="stop"), "stop"),
        (Learnt(5, text="Yes", finish_reason="max_tokens"), "length"),
        (Learnt(1, text="", finish_reason="stop"), "empty"),
        (Learnt(9, text="", finish_reason="length"), "empty"),
        (Learnt(9, text="", finish_reason="tool_calls"), "tool"),
        (Learnt(9, text="x", finish_reason="content_filter"), "other"),
        (Learnt(9, text="x"), None),
    ],
)
def test_answers_are_counted_by_how_they_end(learnt: Learnt, finish: str | None) -> None:
    it = split()
    it.ended(labels(NEW), 200, learnt)
    counts = it.counts()
    assert (counts.new.answered, counts.old.answered) == (1, 0)
    assert counts.new.finishes == ({} if finish is None else {finish: 1})


def test_answers_and_failures_are_counted_for_the_revision_that_gave_them() -> None:
    it = split()
    it.ended(labels(OLD), 200, Learnt())
    it.ended(labels(NEW), 500, Learnt())
    it.ended(labels(NEW), 422, Learnt())
    it.failed(replica("b", NEW), "reset")
    it.failed(replica("a", OLD), "closed")
    it.failed(replica("b", NEW), "revision")  # it was only the wrong one to go on
    counts = it.counts()
    assert (counts.id, counts.old.answered, counts.old.failed) == ("s", 1, 1)
    assert (counts.new.answered, counts.new.failed, counts.new.refused) == (0, 2, 1)


def test_time_to_the_first_token_is_counted_of_streams_and_of_whole_answers_apart() -> None:
    it = split()
    it.first_data(labels(NEW), 200, 0.25, streamed=True)
    it.first_data(labels(NEW), 200, 2.5, streamed=False)
    it.first_data(labels(NEW), 500, 9.0, streamed=False)
    new = it.counts().new
    assert (sum(new.first_token_s), sum(new.whole_s)) == (1, 1)
    assert new.first_token_s.index(1) < new.whole_s.index(1)
