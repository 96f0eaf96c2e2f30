"""Rates of the last seconds from totals that only rise. PURE."""

from collections import deque

from router.types import ModelLoad

_WINDOW_S = 10.0
_SLOWEST_TOKENS_PER_S = 100.0
"""Taken for the rate of draining where nothing has been sent lately, so that an estimate is still a number."""


class LoadWindow:
    """Totals of one model, and what they were up to ten seconds ago. The hot path only adds to the totals."""

    __slots__ = ("_past", "arrivals_total", "generated_tokens_total", "prompt_tokens_total", "sent_tokens_total")

    def __init__(self) -> None:
        self.arrivals_total = 0
        self.prompt_tokens_total = 0
        """Of prompts that arrived."""
        self.sent_tokens_total = 0
        """Of prompts that were sent to a replica."""
        self.generated_tokens_total = 0
        self._past: deque[tuple[float, int, int, int, int]] = deque()

    def begin(self, now: float) -> None:
        """After a pause: rates are of the time from `now` on."""
        self._past.clear()
        self.tick(now)

    def tick(self, now: float) -> None:
        """Remembers the totals as of `now`, in monotonic seconds. Called several times a second."""
        totals = (self.arrivals_total, self.prompt_tokens_total, self.sent_tokens_total, self.generated_tokens_total)
        self._past.append((now, *totals))
        while len(self._past) > 2 and self._past[1][0] <= now - _WINDOW_S:
            self._past.popleft()

    def _rates(self) -> tuple[float, float, float, float]:
        """Arrivals, prompt tokens that arrived and that were sent, and generated tokens, each per second."""
        if len(self._past) < 2:
            return (0.0, 0.0, 0.0, 0.0)
        first, last = self._past[0], self._past[-1]
        span = max(last[0] - first[0], 1e-3)
        arrivals, prompts, sent, generated = ((last[i] - first[i]) / span for i in range(1, 5))
        return arrivals, prompts, sent, generated

    def drain_s(self, backlog_tokens: int) -> float:
        """Seconds in which a backlog of so many prompt tokens is sent at the rate of the last seconds."""
        return backlog_tokens / max(self._rates()[2], _SLOWEST_TOKENS_PER_S)

    def report(
        self, *, queued: int, queued_tokens: int, oldest_wait_s: float, in_flight: int, sheds_total: int
    ) -> ModelLoad:
        """Totals and rates, with what the caller knows of this moment."""
        arrivals, prompts, _, generated = self._rates()
        return ModelLoad(
            queued=queued,
            queued_tokens=queued_tokens,
            oldest_wait_s=round(oldest_wait_s, 3),
            in_flight=in_flight,
            arrivals_total=self.arrivals_total,
            prompt_tokens_total=self.prompt_tokens_total,
            generated_tokens_total=self.generated_tokens_total,
            sheds_total=sheds_total,
            arrivals_per_s=round(arrivals, 3),
            prompt_tokens_per_s=round(prompts, 1),
            generated_tokens_per_s=round(generated, 1),
        )
