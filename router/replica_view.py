"""A replica as one router sees it, and the router's own account of what it has sent there. PURE.

The account is authoritative: it is exact for this router and current to the microsecond. What the engine reports
arrives up to a second late and corrects what the router cannot know: other routers' requests, and how much of the KV
cache a token of ours really takes (shared beginnings take less).
"""

from collections import deque
from dataclasses import dataclass, field

from replicas.types import EngineLoad, ReplicaState
from router.circuit import Circuit, admits
from router.prefix_index import DEFAULT_CAPACITY_BYTES, PrefixCache

_SMOOTHING = 0.2
_INFINITE = float("inf")
_READY = ReplicaState.READY
_KV_SMOOTHING = 0.3
_KV_FACTOR_RANGE = (0.05, 1.5)
_KV_FACTOR_FROM = 0.02
"""Share of the cache below which the ratio of report to estimate says nothing."""
_REMEMBERED = 2.0
"""Of the size of a replica's KV cache, what is remembered of what went through it. See ADR 5."""
_READ_AT_ONCE_TOKENS = 32
"""A prompt as short as this is read within one step of the engine."""
_RATE_FROM_TOKENS = 128
"""Prompts shorter than this time the overhead of a first token, longer ones the rate of reading."""
_INITIAL_PREFILL_TOKENS_PER_S = 4000.0
_INITIAL_INTER_TOKEN_S = 0.03
SLOW_START_S = 10.0
_SLOW_START_FROM = 0.1


class Reservation:
    """One request inside a replica. Made by `reserve`, ended by `release`; both ends may come in any order."""

    prefilling = True
    held = True
    first_token_at = 0.0

    def __init__(self, view: "ReplicaView", uncached_tokens: int, kv_tokens: int, at: float, suspect: bool) -> None:
        self.view = view
        self.uncached_tokens = uncached_tokens
        self.kv_tokens = kv_tokens
        self.at = at
        self.suspect = suspect
        self.prefilled_before = view.prefilled_tokens_total
        """Of the replica when the request was sent."""


@dataclass(eq=False)
class ReplicaView:
    """Mutable: written by the router's table (what is reported) and by `reserve` and its counterparts."""

    replica_id: str
    model: str
    revision: str
    state: ReplicaState
    """As reported; `CORDONED` also for a replica that an admin or a swap has taken out of the choice."""
    address: tuple[str, int, bool]
    """Host, port, TLS."""
    head: bytes
    """Header lines of every request to this replica: host, its token, who we are."""
    labels: bytes
    """Header lines of every answer of this replica: who answered, with what."""
    max_model_len: int | None = None
    limit: int = 256
    """Requests that it takes at once."""
    kv_capacity_tokens: int = 0
    """0: not known, and then no bound."""
    takes_token_ids: bool = False
    weight: float = 1.0
    """Share of requests relative to a replica of ours."""
    fallback: bool = False
    """Only used when no other has room."""
    external: bool = False
    """Outside the cluster: somebody else's, with a base path and a model name of its own."""
    target_path: bytes = b""
    remote_model: str = ""
    """What the model is called there; empty: as here."""
    fresh: bool = False
    """It is being brought up to speed, over `SLOW_START_S`."""
    ready_since: float = 0.0
    """Monotonic seconds."""

    in_flight: int = 0
    """Requests of this router inside the replica."""
    others_in_flight: int = 0
    """Other routers' requests, as last reported."""
    pending_tokens: int = 0
    """Uncached prompt tokens sent there and not yet read."""
    kv_tokens: int = 0
    """Tokens of the KV cache that this router's requests are expected to take at most."""
    others_kv_tokens: float = 0.0
    """Tokens of it that other routers' requests took when it was last reported."""
    kv_factor: float = 1.0
    """Reported use of the KV cache relative to `kv_tokens`."""
    suspects: int = 0
    """Requests inside that were in another replica when it died."""
    prefilled_tokens_total: int = 0
    prefill_tokens_per_s: float = _INITIAL_PREFILL_TOKENS_PER_S
    first_token_overhead_s: float = 0.0
    inter_token_s: float = _INITIAL_INTER_TOKEN_S
    measured: bool = False
    """Whether `prefill_tokens_per_s` was measured here rather than assumed."""
    cache: PrefixCache = field(default_factory=PrefixCache)
    circuit: Circuit = field(default_factory=Circuit)
    assumed: deque[tuple[float, Reservation]] = field(default_factory=deque)
    """Prefills whose end will not be seen (the answer comes in one piece), by the time at which they should be over."""

    takes: bool = False
    """Derived: it is ready, its circuit is closed and fewer requests than its limit are inside."""
    kv_free_tokens: float = _INFINITE
    """Derived: room in its KV cache. An empty replica has room for anything."""
    wait_s: float = 0.0
    """Derived: estimated time to the first token of a request of no length sent now."""
    load: float = 0.0
    """Derived: requests inside relative to its weight; a fresh replica seems busier than it is."""

    def first_token_s(self, uncached_tokens: float) -> float:
        """Estimated time to first token of a request sent now, in seconds."""
        return self.wait_s + uncached_tokens / self.prefill_tokens_per_s


def derive(view: ReplicaView, now: float) -> None:
    """Brings the derived fields up to date. Whatever changes a view ends with it, so that `choose` only reads."""
    taken = float(view.in_flight + view.others_in_flight)
    view.takes = view.state is _READY and taken < view.limit and (not view.circuit.opened or admits(view.circuit, now))
    capacity = view.kv_capacity_tokens
    view.kv_free_tokens = (
        (capacity - view.others_kv_tokens) / view.kv_factor - view.kv_tokens if capacity and taken else _INFINITE
    )
    view.wait_s = view.first_token_overhead_s + view.pending_tokens / view.prefill_tokens_per_s
    if view.fresh:
        ramp = max(_SLOW_START_FROM, (now - view.ready_since) / SLOW_START_S)
        view.fresh = ramp < 1
        taken = (taken + 1) / min(ramp, 1.0) - 1
    view.load = taken / view.weight


def reserve(
    view: ReplicaView, *, uncached_tokens: int, kv_tokens: int, now: float, seen: bool, suspect: bool = False
) -> Reservation:
    """Counts a request that is being sent to `view`. `seen`: its first token will be seen (it is streamed)."""
    reservation = Reservation(view, uncached_tokens, kv_tokens, now, suspect)
    if not seen and uncached_tokens <= _READ_AT_ONCE_TOKENS:
        reservation.uncached_tokens = uncached_tokens = 0
        reservation.prefilling = False
    elif not seen:
        settle(view, now)  # here, too, for not every policy looks at it when it chooses
        view.assumed.append((now + view.first_token_s(uncached_tokens), reservation))
    view.in_flight += 1
    view.pending_tokens += uncached_tokens
    view.kv_tokens += kv_tokens
    view.suspects += suspect
    derive(view, now)
    return reservation


def first_token_seen(reservation: Reservation, now: float) -> None:
    """The request's prompt is read: its tokens are not pending any more, and the time it took is a measurement."""
    if not reservation.prefilling:
        return
    view = reservation.view
    _end_prefill(reservation)
    clear_suspicion(reservation)
    reservation.first_token_at = now
    elapsed = max(now - reservation.at, 1e-6)
    read = view.prefilled_tokens_total - reservation.prefilled_before
    if read < _RATE_FROM_TOKENS:
        view.first_token_overhead_s += _SMOOTHING * (elapsed - view.first_token_overhead_s)
    else:
        rate = read / max(elapsed - view.first_token_overhead_s, elapsed / 4)
        view.prefill_tokens_per_s += (_SMOOTHING if view.measured else 1.0) * (rate - view.prefill_tokens_per_s)
        view.measured = True
    derive(view, now)


def prompt_was_read(reservation: Reservation) -> None:
    """The answer is whole, so its prompt was read, whether or not the first token was seen."""
    if reservation.prefilling:
        _end_prefill(reservation)


def settle(view: ReplicaView, now: float) -> None:
    """Ends the prefills that should be over by now."""
    ended = False
    while view.assumed and view.assumed[0][0] <= now:
        _, reservation = view.assumed.popleft()
        if reservation.prefilling:
            _end_prefill(reservation)
            ended = True
    if ended:
        derive(view, now)


def tokens_seen(reservation: Reservation, tokens: int, now: float) -> None:
    """The stream ended after `tokens` tokens: a measurement of the time between two."""
    if tokens > 1 and reservation.first_token_at:
        view = reservation.view
        mean_s = (now - reservation.first_token_at) / (tokens - 1)
        view.inter_token_s += _SMOOTHING * (mean_s - view.inter_token_s)


def clear_suspicion(reservation: Reservation) -> None:
    """The request has got through what kills engines, or has gone."""
    if reservation.suspect:
        reservation.suspect = False
        reservation.view.suspects -= 1


def release(reservation: Reservation, now: float) -> None:
    """Gives back everything that the request held. Twice is once."""
    if not reservation.held:
        return
    reservation.held = False
    view = reservation.view
    if reservation.prefilling:
        # Not counted as read: whoever leaves now was perhaps not.
        reservation.prefilling = False
        view.pending_tokens -= reservation.uncached_tokens
    if reservation.suspect:
        clear_suspicion(reservation)
    view.in_flight -= 1
    view.kv_tokens -= reservation.kv_tokens
    derive(view, now)


def _end_prefill(reservation: Reservation) -> None:
    reservation.prefilling = False
    view = reservation.view
    view.pending_tokens -= reservation.uncached_tokens
    view.prefilled_tokens_total += reservation.uncached_tokens


def correct(view: ReplicaView, load: EngineLoad, others_in_flight: int, now: float) -> None:
    """Takes over what the replica reports beyond this router's own account."""
    view.others_in_flight = others_in_flight
    everybody = view.in_flight + others_in_flight
    # Others' requests are taken to be as large as ours.
    share = others_in_flight / everybody if everybody else 0.0
    view.others_kv_tokens = load.kv_usage * view.kv_capacity_tokens * share
    view.kv_factor = _kv_factor(view, load.kv_usage)
    derive(view, now)


def bound_memory(view: ReplicaView, bytes_per_token: float) -> None:
    """Sizes what is remembered of the replica's cache. `bytes_per_token`: of prompts."""
    capacity = int(_REMEMBERED * view.kv_capacity_tokens * bytes_per_token)
    view.cache.resize(capacity or DEFAULT_CAPACITY_BYTES)


def _kv_factor(view: ReplicaView, reported_usage: float) -> float:
    capacity, own = view.kv_capacity_tokens, view.in_flight
    if not capacity or not own:
        return view.kv_factor
    estimate = view.kv_tokens * (own + view.others_in_flight) / own
    if estimate < capacity * _KV_FACTOR_FROM:
        return view.kv_factor
    low, high = _KV_FACTOR_RANGE
    factor = min(max(reported_usage * capacity / estimate, low), high)
    return view.kv_factor + _KV_SMOOTHING * (factor - view.kv_factor)
