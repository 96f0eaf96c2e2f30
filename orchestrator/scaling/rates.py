"""What requests cost a replica, from its engine's own counters. PURE.

While an engine has something to do all along, its time is

    seconds = prompt tokens * prompt_token_s + steps * step_s + output tokens * output_token_s

where `steps` = output tokens / requests that ran on average. The three rates are the least-squares solution over
intervals of some seconds, the newer ones counting more, with what a card of our users' does as the prior.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from orchestrator.scaling.types import EngineCounters, EngineRates, RatesMemory, ReplicaSample

PRIOR = EngineRates(prompt_token_s=1 / 8000, step_s=0.02, output_token_s=0.0005)
INTERVAL_S = 5.0
_LONGEST_INTERVAL_S = 30.0
_FORGET = 0.99
_PRIOR_INTERVALS = 0.1
_RANGE = (0.05, 50.0)
"""Of a rate relative to the prior's."""
_SIZE = 3


def learn(memory: RatesMemory, replicas: Sequence[ReplicaSample], now: float) -> RatesMemory:
    """Takes in the replicas' counters; what is learnt is used by `estimate`."""
    counters: dict[str, EngineCounters] = {}
    sums = memory.products
    for replica in replicas:
        if replica.ready_at is None:
            continue
        before = memory.counters.get(replica.replica_id)
        if before is None or _began_again(before, replica) or now - before.at > _LONGEST_INTERVAL_S:
            counters[replica.replica_id] = _begin(replica, now)
            continue
        seen = replace(
            before,
            samples=before.samples + 1,
            running=before.running + replica.running,
            idle=before.idle or not replica.running,
        )
        if now - before.at < INTERVAL_S:
            counters[replica.replica_id] = seen
            continue
        counters[replica.replica_id] = _begin(replica, now)
        if not seen.idle:
            sums = _added(sums, seen, replica, now)
    return RatesMemory(counters=counters, products=sums)


def estimate(memory: RatesMemory) -> EngineRates:
    """The rates as far as they are known: the prior's where nothing was seen yet."""
    matrix, right = _unpacked(memory.products)
    for index in range(_SIZE):
        matrix[index][index] += _PRIOR_INTERVALS * INTERVAL_S**2
        right[index] += _PRIOR_INTERVALS * INTERVAL_S**2
    factors = [min(max(each, _RANGE[0]), _RANGE[1]) for each in _solved(matrix, right)]
    return EngineRates(
        prompt_token_s=PRIOR.prompt_token_s * factors[0],
        step_s=PRIOR.step_s * factors[1],
        output_token_s=PRIOR.output_token_s * factors[2],
    )


def _begin(replica: ReplicaSample, now: float) -> EngineCounters:
    return EngineCounters(
        at=now,
        prompt_tokens_total=replica.prompt_tokens_total,
        generated_tokens_total=replica.generated_tokens_total,
        idle=not replica.running,
    )


def _began_again(before: EngineCounters, replica: ReplicaSample) -> bool:
    return (
        replica.prompt_tokens_total < before.prompt_tokens_total
        or replica.generated_tokens_total < before.generated_tokens_total
    )


def _added(sums: tuple[float, ...], seen: EngineCounters, replica: ReplicaSample, now: float) -> tuple[float, ...]:
    """One more interval. Amounts are in the seconds that the prior gives them, so that all are of one size."""
    output_tokens = replica.generated_tokens_total - seen.generated_tokens_total
    amounts = (
        (replica.prompt_tokens_total - seen.prompt_tokens_total) * PRIOR.prompt_token_s,
        output_tokens * seen.samples / seen.running * PRIOR.step_s,
        output_tokens * PRIOR.output_token_s,
    )
    if not any(amounts):
        return sums
    products = [amounts[row] * amounts[column] for row in range(_SIZE) for column in range(row, _SIZE)]
    products += [amount * (now - seen.at) for amount in amounts]
    return tuple(old * _FORGET + new for old, new in zip(sums or (0.0,) * len(products), products, strict=True))


def _unpacked(sums: tuple[float, ...]) -> tuple[list[list[float]], list[float]]:
    matrix = [[0.0] * _SIZE for _ in range(_SIZE)]
    if not sums:
        return matrix, [0.0] * _SIZE
    upper = iter(sums)
    for row in range(_SIZE):
        for column in range(row, _SIZE):
            matrix[row][column] = matrix[column][row] = next(upper)
    return matrix, list(upper)


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss-Jordan; the matrix is positive definite, so no pivot is 0."""
    for pivot in range(_SIZE):
        for row in range(_SIZE):
            if row != pivot:
                factor = matrix[row][pivot] / matrix[pivot][pivot]
                matrix[row] = [one - factor * other for one, other in zip(matrix[row], matrix[pivot], strict=True)]
                right[row] -= factor * right[pivot]
    return [right[row] / matrix[row][row] for row in range(_SIZE)]
