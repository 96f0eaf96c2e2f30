"""`choose`: the time that `router.policy.choose` takes, prefix-aware, in small and large fleets.

The fleet is brought into the state that it would have under load: conversations (`prompts.py`: four shared system
prompts, several turns) are routed by `choose` itself, reserved, remembered in the replicas' prefix caches, read and
released, until each replica has some requests inside. Then each further choice is timed alone, with the collector off.
Requests of later turns find their conversation where it was, as in service.
"""

import gc
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from random import Random
from statistics import median
from time import perf_counter_ns

from infra.bench.options import Options
from infra.bench.prompts import PASS_MARK, varied_bodies
from infra.bench.report import Floor, print_table
from replicas.types import ReplicaState
from router.estimates import ModelEstimates
from router.features import RequestFeatures, chain_for
from router.policy import choose
from router.prefix_index import PrefixCache, PrefixDirectory
from router.replica_view import ReplicaView, Reservation, derive, first_token_seen, release, reserve
from router.request_head import parse_request_head
from router.types import PolicyName, RoutingSettings

FLOORS_US = {16: 15.0, 1000: 200.0}
_KV_TOKENS = 400_000
_BYTES_PER_TOKEN = 4
_IN_FLIGHT = 16
"""Per replica."""
_READING = 2
"""Of those, requests whose prompts are still being read."""
_REQUEST_S = 10.0
_WARM_UP_PER_REPLICA = 40
_LONGEST_WARM_UP = 20_000


@dataclass(frozen=True)
class ChooseTimes:
    """In microseconds. `features_us`: to read a body and hash its prompt, which every request pays before."""

    replicas: int
    requests: int
    median_us: float
    p99_us: float
    features_us: float
    cached_share: float
    """Of the prompts' bytes, at the chosen replica."""
    reasons: dict[str, int]


class Fleet:
    """Replicas of one model and the requests inside them, in a time of its own."""

    def __init__(self, replicas: int, rng: Random) -> None:
        directory = PrefixDirectory()
        self.views = [_view(number, directory) for number in range(replicas)]
        for view in self.views:
            derive(view, 0.0)
        self.now = 1.0
        self.routing = RoutingSettings(policy=PolicyName.PREFIX_AWARE)
        self.estimates = ModelEstimates()
        self.rng = rng
        self._inside: deque[Reservation] = deque()
        self._reading: deque[Reservation] = deque()
        self._step_s = _REQUEST_S / (_IN_FLIGHT * replicas)

    def features(self, body: str) -> RequestFeatures:
        """What the router makes of a body before it chooses."""
        head = parse_request_head(body.encode(), generates=True)
        tokens = self.estimates.prompt_tokens(len(head.prompt))
        output_tokens = self.estimates.expected_output_tokens(head.max_tokens)
        return RequestFeatures(
            policy=self.routing.policy,
            chain=chain_for(self.routing.policy, head.prompt),
            prompt_tokens=tokens,
            kv_tokens=tokens + output_tokens,
            target_ttft_s=self.routing.target_ttft_s,
            crowding_s=self.estimates.crowding_per_token_s * output_tokens,
            now=self.now,
        )

    def send(self, request: RequestFeatures, view: ReplicaView, cached_bytes: int) -> None:
        """Puts the request into the replica; time passes, and who came first reads its prompt and leaves."""
        uncached = request.uncached_tokens(cached_bytes)
        sent = reserve(view, uncached_tokens=uncached, kv_tokens=request.kv_tokens, now=self.now, seen=True)
        view.cache.insert(request.chain)
        self.now += self._step_s
        self._inside.append(sent)
        self._reading.append(sent)
        if len(self._reading) > _READING * len(self.views):
            first_token_seen(self._reading.popleft(), self.now)
        if len(self._inside) > _IN_FLIGHT * len(self.views):
            release(self._inside.popleft(), self.now)


def _view(number: int, directory: PrefixDirectory) -> ReplicaView:
    name = f"replica-{number}"
    return ReplicaView(
        replica_id=name,
        model="bench",
        revision="bench",
        state=ReplicaState.READY,
        address=("127.0.0.1", 1, False),
        head=b"",
        labels=b"",
        kv_capacity_tokens=_KV_TOKENS,
        cache=PrefixCache(directory, capacity_bytes=_KV_TOKENS * _BYTES_PER_TOKEN),
    )


def _bodies() -> Iterator[str]:
    templates = varied_bodies(stream=False)
    for number in count(1):
        for template in templates:
            yield template.replace(PASS_MARK, f"{number:08d}")


def time_choose(replicas: int, requests: int, *, seed: int = 1) -> ChooseTimes:
    """Times `requests` choices among `replicas` replicas. Raises `RuntimeError` if one of them finds no replica."""
    fleet = Fleet(replicas, Random(seed))
    bodies = _bodies()
    took_ns: list[int] = []
    features_ns: list[int] = []
    reasons: dict[str, int] = {}
    cached = size = 0
    warm_up = min(_LONGEST_WARM_UP, _WARM_UP_PER_REPLICA * replicas)
    gc.collect()
    gc.disable()
    for number in range(warm_up + requests):
        body = next(bodies)
        begun = perf_counter_ns()
        request = fleet.features(body)
        asked = perf_counter_ns()
        decision = choose(request, fleet.views, fleet.rng)
        answered = perf_counter_ns()
        if decision.replica is None:
            raise RuntimeError(f"choose found no replica: {decision.reason}")
        fleet.send(request, decision.replica, decision.cached_bytes)
        if number < warm_up:
            continue
        features_ns.append(asked - begun)
        took_ns.append(answered - asked)
        reasons[decision.reason] = reasons.get(decision.reason, 0) + 1
        cached, size = cached + decision.cached_bytes, size + request.chain.size_bytes
    gc.enable()
    return ChooseTimes(
        replicas=replicas,
        requests=requests,
        median_us=median(took_ns) / 1e3,
        p99_us=sorted(took_ns)[int(len(took_ns) * 0.99)] / 1e3,
        features_us=median(features_ns) / 1e3,
        cached_share=cached / size,
        reasons=reasons,
    )


def run(options: Options) -> tuple[dict[str, object], list[Floor]]:
    """Measures and prints; returns the figures and what they say of the floors."""
    timed = [time_choose(replicas, options.choices) for replicas in FLOORS_US]
    rows = [
        (
            f"{each.replicas:,} replicas",
            f"{each.median_us:.1f}",
            f"{each.p99_us:.1f}",
            f"{each.features_us:.1f}",
            f"{each.cached_share:.0%}",
            ", ".join(f"{reason} {number / each.requests:.0%}" for reason, number in sorted(each.reasons.items())),
        )
        for each in timed
    ]
    columns = ("", "median µs", "p99 µs", "body to features µs", "prompt bytes cached", "reasons")
    print_table(f"choose, prefix-aware, {options.choices:,} choices after a warm-up", columns, rows)
    floors = [
        Floor(f"choose among {each.replicas:,} replicas", FLOORS_US[each.replicas], each.median_us, "µs", at_most=True)
        for each in timed
    ]
    return {"by_replicas": [asdict(each) for each in timed]}, floors
