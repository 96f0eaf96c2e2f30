"""Loads made up to show what traces at hand do not: shared system prompts, chats, agents, bursts, hot documents.

Each generator takes (requests per second, seed, requests). Processes with a memory longer than a load is (chats) are
in their steady state when it begins: what lies before time 0 has happened, unseen.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from math import log
from random import Random

from router.prompt_text import answered
from tests.simulation.loads import Arrival, Generator, arrival, text

_SERVICE_S_PER_TOKEN = 0.04
_OPENING = b'[{"role":"'
"""What a client takes for the time that an answer needs, when it plans its next request."""


def lognormal(rng: Random, median: float, sigma: float, most: int, least: int = 4) -> int:
    """A length in tokens."""
    return int(min(max(rng.lognormvariate(log(median), sigma), least), most))


def poisson(rng: Random, rate: float) -> Iterator[float]:
    """Times at a constant rate."""
    at = 0.0
    while True:
        at += rng.expovariate(rate)
        yield at


def bursts(
    rng: Random, rate: float, *, period_s: float = 20.0, share: float = 0.25, times: float = 3.0
) -> Iterator[float]:
    """Times of which bursts of `times` the mean `rate` take `share` of each period, at random places."""
    calm = rate * (1 - share * times) / (1 - share)
    at, start = 0.0, 0.0
    while True:
        begins = start + rng.random() * period_s * (1 - share)
        for until, now_rate in ((begins, calm), (begins + share * period_s, rate * times), (start + period_s, calm)):
            at = max(at, start)
            while (after := at + rng.expovariate(now_rate)) < until:
                at = after
                yield at
            at = until
        start += period_s


def _zipf(count: int, exponent: float) -> Sequence[float]:
    return tuple(accumulate(1 / rank**exponent for rank in range(1, count + 1)))


def tenants(
    *,
    groups: int = 64,
    exponent: float = 1.0,
    median_prompt: int = 1200,
    median_input: int = 150,
    median_output: int = 150,
    times: Callable[[Random, float], Iterator[float]] = poisson,
    streamed_share: float = 1.0,
) -> Generator:
    """Groups with a system prompt each, picked by Zipf's law; what a user says is new every time."""

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        rng = Random(f"tenants {seed}")
        shared = [
            text(f"group {seed} {group}", lognormal(rng, median_prompt, 0.6, 6000, 100)) for group in range(groups)
        ]
        weights = _zipf(groups, exponent)
        arrivals = []
        for index, at in zip(range(count), times(rng, rate), strict=False):
            (system,) = rng.choices(shared, cum_weights=weights)
            own = text(f"input {seed} {index}", lognormal(rng, median_input, 0.8, 4000))
            output = lognormal(rng, median_output, 0.8, 1500)
            streamed = rng.random() < streamed_share
            arrivals.append(arrival(at, system + own, b"", output_tokens=output, streamed=streamed))
        return arrivals

    return generate


class Conversation:
    """A growing chat, as OpenAI's client writes it."""

    def __init__(self, name: str, system: bytes) -> None:
        self.name = name
        self.turns = 0
        self._text = b'[{"role":"system","content":"%b"}' % system

    def say(self, rng: Random, at: float, said_tokens: int, output_tokens: int) -> Arrival:
        """The next request: something is said, and answered."""
        self.turns += 1
        role = b"user" if self.turns == 1 or "chat" in self.name else b"tool"
        self._text += b',{"role":"%b","content":"%b"}' % (role, text(f"{self.name} in {self.turns}", said_tokens))
        answer = text(f"{self.name} out {self.turns}", output_tokens)
        request = arrival(at, self._text, answer, opening=_OPENING, session=self.name)
        self._text += answered(_OPENING, answer.decode())
        return request

    @property
    def tokens(self) -> int:
        """Length so far."""
        return len(self._text) // 4


def chats(*, turns: float = 6.0, think_s: float = 15.0, median_said: int = 60, median_output: int = 180) -> Generator:
    """Conversations of a random number of turns (`turns` on average) with pauses for reading and thinking.

    One message in ten is a long one, as of a document that is pasted in. Five applications have a system prompt each.
    """

    def conversation(rng: Random, name: str, system: bytes, at: float) -> Iterator[Arrival]:
        chat = Conversation(name, system)
        while chat.tokens < 12000:
            said = lognormal(rng, 1500 if rng.random() < 0.1 else median_said, 0.8, 4000)
            output = lognormal(rng, median_output, 0.7, 1500)
            yield chat.say(rng, at, said, output)
            at += output * _SERVICE_S_PER_TOKEN + 1.0 + rng.lognormvariate(log(think_s), 0.7)
            if rng.random() < 1 / turns:
                return

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        rng = Random(f"chats {seed}")
        systems = [text(f"application {seed} {each}", lognormal(rng, 400, 0.6, 3000)) for each in range(5)]
        return _sessions(
            rng,
            rate / turns,
            rate,
            count,
            lambda name, at: conversation(rng, f"chat {seed} {name}", rng.choice(systems), at),
        )

    return generate


def agents(*, steps: float = 12.0, tool_s: float = 2.0) -> Generator:
    """Loops of an agent: short answers that call tools, whose results come back in seconds and stay in the prompt."""

    def loop(rng: Random, name: str, system: bytes, at: float) -> Iterator[Arrival]:
        agent = Conversation(name, system)
        while agent.tokens < 14000:
            said = lognormal(rng, 250, 1.0, 3000)
            output = lognormal(rng, 70, 0.7, 600)
            yield agent.say(rng, at, said, output)
            at += output * _SERVICE_S_PER_TOKEN + 0.5 + rng.expovariate(1 / tool_s)
            if rng.random() < 1 / steps:
                return

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        rng = Random(f"agents {seed}")
        systems = [text(f"agent {seed} {each}", lognormal(rng, 2000, 0.4, 5000)) for each in range(6)]
        return _sessions(
            rng, rate / steps, rate, count, lambda name, at: loop(rng, f"agent {seed} {name}", rng.choice(systems), at)
        )

    return generate


def _sessions(
    rng: Random, session_rate: float, rate: float, count: int, begin: Callable[[int, float], Iterator[Arrival]]
) -> Sequence[Arrival]:
    """Sessions begin by a Poisson process long enough before time 0 for those under way to be as many as later."""
    horizon_s = count / rate
    before_s = 300.0
    found: list[Arrival] = []
    for name, at in enumerate(poisson(rng, session_rate)):
        if at > horizon_s * 1.2 + before_s:
            break
        found.extend(each for each in begin(name, at - before_s) if each.at >= 0)
    found.sort(key=lambda each: each.at)
    return found[:count]


def hot_document(*, share: float = 0.5, changes_every_s: float = 30.0) -> Generator:
    """A share of all requests is about one document of 6,000 tokens, and every half minute about another one."""

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        rng = Random(f"hot {seed}")
        arrivals = []
        for index, at in zip(range(count), poisson(rng, rate), strict=False):
            own = text(f"hot {seed} {index}", lognormal(rng, 150, 0.8, 2000))
            hot = rng.random() < share
            prompt = text(f"document {seed} {int(at / changes_every_s)}", 6000) + own if hot else own
            arrivals.append(arrival(at, prompt, b"", output_tokens=lognormal(rng, 120, 0.7, 1000)))
        return arrivals

    return generate


def documents(*, median_document: int = 3000, questions: float = 5.0, pause_s: float = 12.0) -> Generator:
    """Long documents that a few questions are asked about, each question on its own; then they are forgotten."""

    def asked(rng: Random, name: str, at: float) -> Iterator[Arrival]:
        document = text(name, lognormal(rng, median_document, 0.6, 12000, 500))
        for index in range(1000):
            question = text(f"{name} {index}", lognormal(rng, 40, 0.6, 400))
            yield arrival(at, document + question, b"", output_tokens=lognormal(rng, 120, 0.7, 1000), session=name)
            at += rng.expovariate(1 / pause_s)
            if rng.random() < 1 / questions:
                return

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        rng = Random(f"documents {seed}")
        return _sessions(rng, rate / questions, rate, count, lambda name, at: asked(rng, f"paper {seed} {name}", at))

    return generate


def strangers(*, times: Callable[[Random, float], Iterator[float]] = poisson) -> Generator:
    """No reuse, and lengths of all sizes: prompts from 20 to 12,000 tokens, answers either very short or long."""

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        rng = Random(f"strangers {seed}")
        arrivals = []
        for index, at in zip(range(count), times(rng, rate), strict=False):
            prompt = text(f"stranger {seed} {index}", lognormal(rng, 500, 1.3, 12000, 20))
            output = lognormal(rng, 600, 0.4, 2000) if rng.random() < 0.3 else lognormal(rng, 15, 0.8, 100, 1)
            arrivals.append(arrival(at, prompt, b"", output_tokens=output))
        return arrivals

    return generate


def mixed(*parts: tuple[float, Generator]) -> Generator:
    """Several loads at once, by their shares of the requests."""

    def generate(rate: float, seed: int, count: int) -> Sequence[Arrival]:
        found = [each for share, part in parts for each in part(rate * share, seed, max(1, round(count * share)))]
        return sorted(found, key=lambda each: each.at)

    return generate
