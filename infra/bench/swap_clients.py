"""Clients that ask all the time and know what each revision answers."""

import asyncio
import json
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx

PROMPTS = (
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Count from one to ten.",
    "Name three colours.",
    "What is a train?",
    "Say something kind.",
    "Explain rain to a child.",
    "What do cats eat?",
)
_ANSWER_WITHIN_S = 600.0


@dataclass(frozen=True)
class Answered:
    """One answer. Times are seconds of the monotonic clock."""

    began: float
    ended: float
    revision: str


@dataclass
class Clients:
    """Some clients that ask one after the other until they are told to stop."""

    url: str
    key: str
    model: str
    tokens: int
    known: dict[str, dict[str, str]] = field(default_factory=dict)
    """Revision -> prompt -> its greedy answer."""
    answered: list[Answered] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Answers that are not what the revision says that gave them."""

    async def learn(self, http: httpx.AsyncClient) -> str:
        """Ask every prompt of whatever is served, alone; its revision."""
        revision = ""
        for prompt in PROMPTS:
            text, revision = await self._ask(http, prompt, stream=False)
            self.known.setdefault(revision, {})[prompt] = text
        return revision

    async def ask_until(self, http: httpx.AsyncClient, stop: asyncio.Event, number: int) -> None:
        """Every second answer is a stream."""
        turn = number
        while not stop.is_set():
            prompt, began = PROMPTS[turn % len(PROMPTS)], monotonic()
            turn += 1
            try:
                text, revision = await self._ask(http, prompt, stream=turn % 2 == 0)
            except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                continue
            self.answered.append(Answered(began, monotonic(), revision))
            if self.known[revision][prompt] != text:
                self.wrong.append(f"{revision[:19]} answered {text!r} to {prompt!r}")

    async def _ask(self, http: httpx.AsyncClient, prompt: str, *, stream: bool) -> tuple[str, str]:
        """The answer's text and revision. Raises httpx.HTTPError, and ValueError for an answer that broke off."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self.tokens,
            "ignore_eos": True,
            "stream": stream,
        }
        headers = {"authorization": f"Bearer {self.key}"}
        async with http.stream("POST", self.url, json=body, headers=headers, timeout=_ANSWER_WITHIN_S) as answer:
            data = await answer.aread()
            answer.raise_for_status()
        revision = answer.headers["x-roundhouse-revision"]
        text, marks = _read_stream(data) if stream else _read(data)
        if any(not revision.removeprefix("sha256:").startswith(mark.removeprefix("rh-")) for mark in marks):
            raise ValueError(f"The answer of {revision} names {sorted(marks)} as its weights.")
        return text, revision


def _read(data: bytes) -> tuple[str, set[str]]:
    answer = json.loads(data)
    return answer["choices"][0]["message"]["content"], {answer["system_fingerprint"]}


def _read_stream(data: bytes) -> tuple[str, set[str]]:
    if not data.rstrip().endswith(b"data: [DONE]"):
        raise ValueError(f"The stream broke off: {data[-200:]!r}")
    events: list[dict[str, Any]] = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]
    text = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    return text, {event["system_fingerprint"] for event in events if event.get("system_fingerprint")}
