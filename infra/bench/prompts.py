"""What the load generators ask: request bodies of the chat endpoint, one JSON document a line.

`SAME` is one short question over and over, as the floors were measured. `VARIED` is what routers are for: 500 bodies of
0.2 to 8 kB, the turns of conversations that begin with one of four system prompts. Each pass through the list is a new
set of conversations (`PASS_MARK` becomes the pass's number behind the system prompt), so prompts never come twice while
their beginnings do: the system prompt always, a conversation's earlier turns within the pass.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random

MODEL = "bench"
PASS_MARK = "@@@@@@@@"
"""As many characters as the number that takes its place."""
BODIES = 500
MIN_BODY_BYTES, MAX_BODY_BYTES = 200, 8000
_SYSTEM_PROMPT_CHARACTERS = (60, 400, 1200, 2400)
_LONGEST_CONVERSATION = 9
_SYLLABLES = ("ka", "lo", "mi", "ren", "tu", "sha", "vel", "dor", "in", "ter", "ac", "qui", "pro", "ne", "stra", "ble")
_CJK = "模型服务推理请求副本权重更新路由显存队列会话"
_OTHERS = ("\n\n", '"quoted"', "`code()`", "C:\\path", "{x: 1}", "–", "é")

Message = dict[str, str]


def _text(rng: Random, characters: int) -> str:
    parts: list[str] = []
    length = 0
    while length < characters:
        drawn = rng.random()
        if drawn < 0.03:
            word = rng.choice(_OTHERS)
        elif drawn < 0.06:
            word = "".join(rng.choices(_CJK, k=6))
        else:
            word = "".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4)))
        parts.append(word)
        length += len(word) + 1
    return " ".join(parts)


def _body(messages: list[Message], *, stream: bool) -> str:
    """As the openai client writes it: compact, not escaped to ASCII."""
    request = {"messages": messages, "model": MODEL, "max_tokens": 256, "temperature": 0.7}
    if stream:
        request["stream"] = True
    return json.dumps(request, ensure_ascii=False, separators=(",", ":"))


def _conversation(rng: Random, system_prompts: list[str]) -> list[list[Message]]:
    """The messages of each turn's request; every one begins with the one before."""
    messages: list[Message] = [{"role": "system", "content": rng.choice(system_prompts)}]
    turns: list[list[Message]] = []
    for turn in range(rng.randint(1, _LONGEST_CONVERSATION)):
        question = _text(rng, rng.randint(30, 300))
        messages = [*messages, {"role": "user", "content": question if turn else f"{PASS_MARK} {question}"}]
        if len(_body(messages, stream=True).encode()) > MAX_BODY_BYTES:
            break
        turns.append(messages)
        messages = [*messages, {"role": "assistant", "content": _text(rng, rng.randint(80, 1200))}]
    return turns


def varied_bodies(*, stream: bool, seed: int = 1) -> list[str]:
    """The 500 bodies; conversations are mixed, the turns of each are in order."""
    rng = Random(seed)
    system_prompts = [_text(rng, characters) for characters in _SYSTEM_PROMPT_CHARACTERS]
    conversations: list[list[list[Message]]] = []
    while sum(map(len, conversations)) < BODIES:
        conversations.append(_conversation(rng, system_prompts))
    order = [index for index, turns in enumerate(conversations) for _ in turns]
    rng.shuffle(order)
    left = [iter(turns) for turns in conversations]
    return [_body(next(left[index]), stream=stream) for index in order][:BODIES]


def same_body(*, stream: bool) -> str:
    """One short question."""
    return _body([{"role": "user", "content": "What is the capital of France?"}], stream=stream)


def write_bodies(path: Path, bodies: Iterable[str]) -> Path:
    """A file that the load generators read."""
    path.write_text("".join(f"{body}\n" for body in bodies), encoding="utf-8")
    return path
