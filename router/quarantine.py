"""Requests that kill engines. PURE.

A request that was inside a replica when it died is a suspect; so were its neighbours. Suspects are therefore sent on
one to a replica (`ReplicaView.suspects`), each until its first token or for `ALONE_S`. Guilty is who has been in two
replicas that died, was the only suspect in the second, and without whom nothing died lately: where machines fall over
by themselves, being in two of them is bad luck. Alone or not, five deaths are guilt if they are half of all there were.

A request is known by a hash of its body, so the same one sent again is refused at once.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

ALONE_S = 1.0
"""How long a suspect keeps other suspects out of its replica; engines that a request kills die at its first step."""
WAITS_TO_BE_ALONE_S = 2.0
"""How long a suspect waits for a replica without another; bad company is better than no answer."""
TRIAL_S = 3.0
"""How long an accused request is kept out of replicas. A killer's client only waits for its refusal."""
_LATELY_S = 30.0
_GUILTY_AT = 2
_GUILTY_IN_COMPANY_AT = 5
_KEPT = 1024
_KEPT_S = 900.0


@dataclass(eq=False)
class _Record:
    replicas: set[str]
    at: float
    trial_ends: float = 0.0
    """0 unless it is accused."""
    guilty: bool = False


class Quarantine:
    """What one router remembers of deaths. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.records: OrderedDict[int, _Record] = OrderedDict()
        """By hash. Only while there are any are requests worth hashing as they come."""
        self._deaths: deque[tuple[float, str]] = deque()
        """When which replica died, each once."""

    def __len__(self) -> int:
        return sum(record.guilty for record in self.records.values())

    def holds(self, digest: int, now: float) -> bool:
        """Whether requests with this hash are refused."""
        record = self.records.get(digest)
        return record is not None and record.guilty and now - record.at < _KEPT_S

    def suspects(self, digest: int, now: float) -> bool:
        """Whether a request with this hash was in a replica that died."""
        record = self.records.get(digest)
        return record is not None and bool(record.replicas) and now - record.at < _KEPT_S

    def trial_s(self, digest: int, now: float) -> float:
        """For how much longer requests with this hash are to be kept out of replicas."""
        record = self.records.get(digest)
        return 0.0 if record is None or record.guilty else max(record.trial_ends - now, 0.0)

    def convicted(self, digest: int, now: float) -> bool:
        """Whether a trial that is over has found it guilty; true once, from then on `holds` is."""
        record = self.records.get(digest)
        if record is None or record.guilty or not record.trial_ends or now < record.trial_ends:
            return False
        record.guilty = True
        return True

    def died(self, replica_id: str, digest: int, now: float, *, alone: bool) -> bool:
        """A request was in `replica_id` when it died. True if it now stands accused.

        `alone`: it was the only suspect in there.
        """
        while self._deaths and now - self._deaths[0][0] > _LATELY_S:
            self._deaths.popleft()
        if all(name != replica_id for _, name in self._deaths):
            self._deaths.append((now, replica_id))
            self._acquit(lambda accused: replica_id not in accused.replicas)
        record = self.records.get(digest)
        if record is None or now - record.at >= _KEPT_S:
            record = self.records[digest] = _Record(set(), now)
        self.records.move_to_end(digest)
        if len(self.records) > _KEPT:
            self.records.popitem(last=False)
        record.replicas.add(replica_id)
        record.at = now
        if not record.guilty and self._is_guilty(record, alone=alone):
            record.trial_ends = now + TRIAL_S
        return bool(record.trial_ends)

    def _acquit(self, innocent: Callable[[_Record], bool]) -> None:
        for record in self.records.values():
            if record.trial_ends and not record.guilty and innocent(record):
                record.trial_ends = 0.0

    def _is_guilty(self, record: _Record, *, alone: bool) -> bool:
        count = len(record.replicas)
        part = sum(name in record.replicas for _, name in self._deaths)
        if alone and count >= _GUILTY_AT and part == len(self._deaths):
            return True
        return count >= _GUILTY_IN_COMPANY_AT and 2 * part >= len(self._deaths)

    def survived(self, digest: int) -> None:
        """A request with this hash was answered in full: it is no suspect, unless it is guilty."""
        record = self.records.get(digest)
        if record is not None and not record.guilty:
            del self.records[digest]

    def lives(self, replica_id: str) -> None:
        """The replica answers: nobody has killed it."""
        self._deaths = deque(death for death in self._deaths if death[1] != replica_id)
        self._acquit(lambda accused: replica_id in accused.replicas)
        for record in self.records.values():
            record.replicas.discard(replica_id)
