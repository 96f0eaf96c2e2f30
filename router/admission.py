"""Requests that wait for a replica: who is let in, who goes next, who is turned away. PURE.

Bands by priority, a higher one always first. Within a band tenants get fair shares by the virtual token counter
(Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024): a tenant is charged weighted tokens for what
it is served, and of the tenants that wait the one with the lowest counter goes next. The expected answer is charged
when a request is sent and put right when it ends. A tenant that comes back after a pause is lifted to the lowest
counter of those who wait, so that idling earns nothing. Within a tenant: first in, first out.

While two tenants both wait, the weighted tokens that they were served differ by at most twice the cost of the largest
request plus what the estimates of requests in flight are off by.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from router.features import RequestFeatures
from router.prefix_chain import EMPTY, PrefixChain
from router.types import Priority, RoutingSettings

INPUT_WEIGHT = 1.0
OUTPUT_WEIGHT = 2.0
"""A generated token takes about as long as reading several; the weights of the paper."""
_MOST_IDLE_TENANTS = 4096


class Ticket(RequestFeatures):
    """One request's place in the queue."""

    def __init__(
        self,
        *,
        tenant: str,
        prompt_tokens: int,
        output_tokens: int,
        size_bytes: int,
        since: float,
        weight: float = 1.0,
        priority: Priority = Priority.NORMAL,
        chain: PrefixChain = EMPTY,
        session: bytes = b"",
    ) -> None:
        super().__init__(
            chain=chain, prompt_tokens=prompt_tokens, kv_tokens=prompt_tokens + output_tokens, session=session
        )
        self.tenant = tenant
        self.weight = weight
        self.priority = priority
        self.output_tokens = output_tokens
        """Expected."""
        self.size_bytes = size_bytes
        self.since = since
        """Monotonic seconds at which it came to wait."""
        self.deadline = 0.0
        self.charged = 0.0
        """Weighted tokens that its tenant's counter was raised by."""

    @property
    def cost(self) -> float:
        """Weighted tokens that it is expected to take."""
        return (INPUT_WEIGHT * self.prompt_tokens + OUTPUT_WEIGHT * self.output_tokens) / self.weight


@dataclass(frozen=True)
class Admitted:
    """The ticket waits. `displaced` lost their places to it and are turned away."""

    displaced: tuple[Ticket, ...] = ()


@dataclass(frozen=True)
class Shed:
    """The ticket does not fit. `reason`: `requests`, `tokens` or `bytes`, whichever cap is reached."""

    reason: str


class _Band:
    """The tenants of one priority."""

    def __init__(self) -> None:
        self.counters: dict[str, float] = {}
        self.waiting: dict[str, OrderedDict[int, Ticket]] = {}
        self.backlog: dict[str, float] = {}
        """Weighted tokens of those who wait, by tenant."""
        self.last_served = 0.0
        """Counter of the tenant that was served last, before the charge: where a newcomer begins."""

    def counter(self, tenant: str) -> float:
        return self.counters.get(tenant, 0.0)

    def arrive(self, tenant: str) -> None:
        """`tenant` begins to wait or is served without waiting: an idle one does not keep its low counter."""
        if not self.waiting:
            floor = self.last_served
        elif tenant in self.waiting:
            return
        else:
            floor = min(map(self.counter, self.waiting))
        if self.counters.get(tenant, -1.0) < floor:
            self.counters[tenant] = floor
        if len(self.counters) > _MOST_IDLE_TENANTS:
            # Who has not been here for so many others would be lifted anyway.
            self.counters.pop(next(name for name in self.counters if name not in self.waiting))

    def next_tenant(self) -> str | None:
        return min(self.waiting, key=self.counter, default=None)


class AdmissionQueue:
    """The queue of one model. The caller keeps the time and does the sending."""

    def __init__(self) -> None:
        self._bands: dict[Priority, _Band] = {priority: _Band() for priority in sorted(Priority, reverse=True)}
        self._retries: OrderedDict[int, Ticket] = OrderedDict()
        self.tokens = 0
        """Prompt tokens that wait."""
        self.size_bytes = 0
        self.count = 0
        """Requests that wait."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Ticket]:
        """Everybody who waits, in no particular order."""
        yield from self._retries.values()
        for band in self._bands.values():
            for tickets in band.waiting.values():
                yield from tickets.values()

    def oldest_wait_s(self, now: float) -> float:
        """Seconds that the longest waiting ticket has waited; 0 for an empty queue."""
        heads = [next(iter(tickets.values())) for band in self._bands.values() for tickets in band.waiting.values()]
        return max((now - ticket.since for ticket in (*heads, *self._retries.values())), default=0.0)

    def offer(self, ticket: Ticket, settings: RoutingSettings) -> Admitted | Shed:
        """Lets `ticket` wait, if need be in the place of others.

        At a cap, room is made at the cost of the lowest band, and there of the tenant that waits with the most
        weighted tokens, youngest ticket first; but never of a higher band, nor of a tenant that would then wait with
        less than the newcomer's. So nobody fills the queue for everyone.
        """
        if ticket.prompt_tokens > settings.queue_tokens:
            return Shed("tokens")
        if ticket.size_bytes > settings.queue_bytes:
            return Shed("bytes")
        displaced: list[Ticket] = []
        while (reason := self._over(ticket, settings)) is not None:
            victim = self._victim(ticket)
            if victim is None:
                for other in reversed(displaced):
                    self._put(other)
                return Shed(reason)
            self.remove(victim)
            displaced.append(victim)
        self._bands[ticket.priority].arrive(ticket.tenant)
        self._put(ticket)
        return Admitted(tuple(displaced))

    def offer_again(self, ticket: Ticket) -> None:
        """A request that a replica gave back: it goes before everyone, and caps do not count."""
        if id(ticket) not in self._retries:
            self._retries[id(ticket)] = ticket
            self._add(ticket, 1)

    @property
    def holds_given_back(self) -> bool:
        """Whether a replica gave back anybody who waits."""
        return bool(self._retries)

    def given_back(self) -> tuple[Ticket, ...]:
        """Those who go before `next`: a replica gave them back."""
        return tuple(self._retries.values())

    def next(self) -> Ticket | None:
        """Who goes next of the others; stays in the queue until it is charged or removed."""
        for band in self._bands.values():
            tenant = band.next_tenant()
            if tenant is not None:
                return next(iter(band.waiting[tenant].values()))
        return None

    def remove(self, ticket: Ticket) -> bool:
        """`ticket` waits no more. False if it did not wait."""
        if self._retries.pop(id(ticket), None) is not None:
            self._add(ticket, -1)
            return True
        band = self._bands[ticket.priority]
        tickets = band.waiting.get(ticket.tenant)
        if tickets is None or tickets.pop(id(ticket), None) is None:
            return False
        band.backlog[ticket.tenant] -= ticket.cost
        if not tickets:
            del band.waiting[ticket.tenant], band.backlog[ticket.tenant]
        self._add(ticket, -1)
        return True

    def charge(self, ticket: Ticket) -> None:
        """`ticket`, waiting or new, is being sent to a replica: its tenant pays what it is expected to take."""
        band = self._bands[ticket.priority]
        if not (self.count and self.remove(ticket)):
            band.arrive(ticket.tenant)
        if ticket.charged:
            return  # sent before: what it takes is paid for
        counter = band.last_served = band.counters[ticket.tenant]
        ticket.charged = ticket.cost
        band.counters[ticket.tenant] = counter + ticket.charged

    def settle(self, ticket: Ticket, output_tokens: int) -> None:
        """`ticket` has ended with `output_tokens` tokens: what it was charged too much or too little is put right."""
        if not ticket.charged:
            return
        counters = self._bands[ticket.priority].counters
        if ticket.tenant in counters:
            counters[ticket.tenant] += OUTPUT_WEIGHT * (output_tokens - ticket.output_tokens) / ticket.weight
        ticket.output_tokens = output_tokens
        ticket.charged = 0.0

    def served(self, priority: Priority, tenant: str) -> float:
        """The virtual token counter of a tenant in a band."""
        return self._bands[priority].counter(tenant)

    def _over(self, ticket: Ticket, settings: RoutingSettings) -> str | None:
        if self.count + 1 > settings.queue_requests:
            return "requests"
        if self.tokens + ticket.prompt_tokens > settings.queue_tokens:
            return "tokens"
        if self.size_bytes + ticket.size_bytes > settings.queue_bytes:
            return "bytes"
        return None

    def _victim(self, newcomer: Ticket) -> Ticket | None:
        for priority in sorted(Priority):
            band = self._bands[priority]
            if priority > newcomer.priority:
                return None
            if not band.waiting:
                continue
            heaviest = max(band.backlog, key=band.backlog.__getitem__)
            victim = next(reversed(band.waiting[heaviest].values()))
            if priority == newcomer.priority:
                own = band.backlog.get(newcomer.tenant, 0.0) + newcomer.cost
                if heaviest == newcomer.tenant or band.backlog[heaviest] - victim.cost < own:
                    return None
            return victim
        return None

    def _put(self, ticket: Ticket) -> None:
        band = self._bands[ticket.priority]
        band.waiting.setdefault(ticket.tenant, OrderedDict())[id(ticket)] = ticket
        band.backlog[ticket.tenant] = band.backlog.get(ticket.tenant, 0.0) + ticket.cost
        self._add(ticket, 1)

    def _add(self, ticket: Ticket, sign: int) -> None:
        self.count += sign
        self.tokens += sign * ticket.prompt_tokens
        self.size_bytes += sign * ticket.size_bytes
