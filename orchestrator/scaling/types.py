"""What the autoscaler reads, decides and remembers. PURE: plain data.

`decide.decide` says how many replicas one deployment should have; `allocate.allocate` divides a fixed set of GPUs among
deployments that all want some. Times are Unix seconds, or any other clock that does not go back; the same for all.
"""

from enum import StrEnum

from msgspec import Struct, field

from replicas.types import ReplicaState


class Schedule(Struct, frozen=True, kw_only=True):
    """A window that comes again and again, in which a deployment has at least so many replicas."""

    cron: str
    """When it begins: five fields, minute first."""
    duration_s: float
    min_replicas: int
    time_zone: str = "UTC"
    """A name of the IANA database, as `Asia/Shanghai`."""


class ScalingSettings(Struct, frozen=True, kw_only=True):
    """What an admin wants of one deployment."""

    min_replicas: int = 1
    """0: it may sleep."""
    max_replicas: int = 1
    """Equal to `min_replicas`: the number is fixed."""
    target_wait_s: float | None = None
    """How long a request may wait for its first token; None: the deployment's `routing.target_ttft_s`."""
    idle_timeout_s: float | None = None
    """After so long without a request a deployment whose minimum is 0 sleeps; None: from what a start costs."""
    priority: int = 0
    """Where GPUs are short, a higher one goes first."""
    weight: float = 1.0
    """Share of the GPUs among deployments of one priority."""
    schedules: tuple[Schedule, ...] = ()


class Override(Struct, frozen=True, kw_only=True):
    """A number of replicas that an admin set by hand, in the place of what the load would say."""

    replicas: int
    until: float | None = None
    """None: until it is taken back."""


class LoadSample(Struct, frozen=True, kw_only=True):
    """What one router sees of the deployment. A router that reports without having the model in its report sends zeros.

    Totals rise for as long as a router lives; one that begins again under the same id may begin at 0.
    """

    router_id: str
    at: float
    """When the router said so. The same as last time: nothing new, which is no harm."""
    queued: int = 0
    queued_tokens: int = 0
    """Prompt tokens of those who are queued."""
    oldest_wait_s: float = 0.0
    in_flight: int = 0
    arrivals_total: int = 0
    prompt_tokens_total: int = 0
    generated_tokens_total: int = 0
    """Of answers that have ended."""


class ReplicaSample(Struct, frozen=True, kw_only=True):
    """One replica, as its endpoint says, or as the orchestrator knows of one that has none yet (`STARTING`)."""

    replica_id: str
    state: ReplicaState
    started_at: float
    """When its start was asked for."""
    ready_at: float | None = None
    """None until it has been ready."""
    in_flight: int = 0
    running: int = 0
    """In the engine (`EngineLoad.running` and `.waiting` together)."""
    max_running: int | None = None
    kv_capacity_tokens: int | None = None
    kv_usage: float = 0.0
    prompt_tokens_total: int = 0
    generated_tokens_total: int = 0
    """Both as `EngineLoad` has them."""


class EngineRates(Struct, frozen=True, kw_only=True):
    """What requests cost one replica, in seconds of its time: `rates` says how they are measured.

    A step that decodes `n` requests lasts `step_s + n * output_token_s`; a prompt token adds `prompt_token_s`.
    """

    prompt_token_s: float
    step_s: float
    output_token_s: float

    def request_s(self, prompt_tokens: float, output_tokens: float, batch: float) -> float:
        """Seconds of a replica's time that a request takes where `batch` decode together: token-seconds.

        `1 / request_s` is the requests per second that a replica with so full a batch carries.
        """
        output_token_s = self.step_s / max(batch, 1.0) + self.output_token_s
        return prompt_tokens * self.prompt_token_s + output_tokens * output_token_s


class RatesMemory(Struct, frozen=True, kw_only=True):
    """Sums of a least-squares fit that forgets, and the counters of each replica at the beginning of its interval."""

    counters: dict[str, "EngineCounters"] = field(default_factory=dict)
    products: tuple[float, ...] = ()
    """Upper triangle of the 3 x 3 normal matrix, then its right side; empty: nothing seen."""


class EngineCounters(Struct, frozen=True, kw_only=True):
    """A replica's totals at the beginning of an interval, and what was seen of it since."""

    at: float
    prompt_tokens_total: int
    generated_tokens_total: int
    samples: int = 0
    running: int = 0
    """Summed over the samples."""
    idle: bool = False
    """In one of the samples nothing ran: the interval says nothing of rates."""


class Bucket(Struct, frozen=True, kw_only=True):
    """What came in one slice of time, `demand.BUCKET_S` long."""

    at: float
    """Its beginning."""
    arrivals: float = 0.0
    covered_s: float = 0.0
    """How much of it reports spoke of: a slice without reports says nothing."""


class DemandMemory(Struct, frozen=True, kw_only=True):
    """The traffic of the last minutes, and what a request is like."""

    routers: dict[str, LoadSample] = field(default_factory=dict)
    """What each said last."""
    buckets: tuple[Bucket, ...] = ()
    """Oldest first."""
    active_at: float | None = None
    """When there was last anything to do."""
    prompt_tokens: float = 500.0
    output_tokens: float = 200.0
    """Means of a request; of a usual one until some were seen."""
    requests_seen: float = 0.0
    """Behind the mean of prompts; bounded, so that it moves on."""
    answers_seen: float = 0.0


class Saturation(Struct, frozen=True, kw_only=True):
    """A time in which requests waited all along, before the same replicas."""

    ready: int
    since: float
    measured_from: float
    answers: float = 0.0
    """Ended since `measured_from`."""


class Surprise(Struct, frozen=True, kw_only=True):
    """How far the rate of arrivals was above what had been foretold one cold start earlier."""

    forecasts: tuple[tuple[float, float], ...] = ()
    """(when it was foretold, requests per second), oldest first."""
    mean_square: float = 0.0
    """Of what was missing, in requests per second, over the last hour."""
    watched_s: float = 0.0
    """Behind that mean."""


class ScalingMemory(Struct, frozen=True, kw_only=True):
    """What `decide` must be given again the next time. Survives a restart as JSON; lost, it is learnt again."""

    target: int | None = None
    """What was decided last; None: nothing yet."""
    demand: DemandMemory = DemandMemory()
    rates: RatesMemory = RatesMemory()
    saturation: Saturation | None = None
    correction: float = 1.0
    """How much longer work takes than the rates say, from how fast full replicas were seen to work."""
    surprise: Surprise = Surprise()
    needs: tuple[tuple[float, float], ...] = ()
    """(time, most replicas that the load needed) by slices of time, oldest first."""


class ScalingInputs(Struct, frozen=True, kw_only=True):
    """The figures behind a decision, as an admin may see them."""

    arrivals_per_s: float = 0.0
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0
    """Means of a request."""
    demand: float = 0.0
    """Work that comes each second, in seconds of a replica's time: replicas that it would keep busy."""
    backlog_s: float = 0.0
    """Work that is queued, in seconds of a replica's time."""
    queued: int = 0
    in_flight: int = 0
    oldest_wait_s: float = 0.0
    expected_wait_s: float = 0.0
    """Of requests that come once a replica started now would be ready, without it."""
    needed: float = 0.0
    """Replicas for the demand, with room for its fluctuation."""
    recent_need: float = 0.0
    """The most of those in the time that a scale-down looks back."""
    ready: int = 0
    starting: int = 0
    cold_start_s: float = 0.0
    target_wait_s: float = 0.0
    idle_s: float = 0.0
    """Since there was last anything to do."""


class Cause(StrEnum):
    """One word for the sentence that is a decision's reason, so that pages can say it in their own language."""

    BY_HAND = "by_hand"
    BY_HAND_UNTIL = "by_hand_until"
    FIXED = "fixed"
    SCHEDULE = "schedule"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    NO_REPORT = "no_report"
    WAKES = "wakes"
    """From none, for requests that came."""
    WAITS = "waits"
    """Up, or requests would wait too long."""
    LOAD = "load"
    """Up, for the traffic alone."""
    SLEEPS = "sleeps"
    FEWER = "fewer"
    KEPT_QUEUE = "kept_queue"
    """Fewer would do, here and below, but not yet."""
    KEPT_UNKNOWN = "kept_unknown"
    KEPT_YOUNG = "kept_young"
    ASLEEP = "asleep"
    """As many as there are will do, here and below."""
    IDLE = "idle"
    ENOUGH = "enough"


class ScalingDecision(Struct, frozen=True, kw_only=True):
    """How many replicas there should be, and why."""

    target: int
    needed: int
    """Of them, how many have something to do: the rest may go where room is short."""
    reason: str
    """A sentence for an admin."""
    cause: Cause
    values: dict[str, float]
    """What the sentence has beside its words; times in seconds, by names that end in `_s`."""
    inputs: ScalingInputs
