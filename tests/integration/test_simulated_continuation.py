"""The simulated engine shows token ids as vLLM does, and goes on with an answer that a prompt of ids ends in."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicas.simulated_engine import SimulatedEngine
from replicas.simulated_http import read_conversation
from replicas.simulated_text import answer_text, make_answer, recall, token_text, tokenize
from replicas.types import EngineKind, ReplicaSpec, SimulationSettings
from router.continuation import Finish, GiveUp, Resume, continuation_request, eligible
from router.sent_tokens import SentTokens

FAST = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.0001, inter_token_per_running_s=0)
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    engine = SimulatedEngine()
    spec = ReplicaSpec(
        deployment="tiny", model="tiny", engine=EngineKind.SIMULATED, revision="r", engine_args={}, simulation=FAST
    )
    await engine.start(spec, lambda _: None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(engine.app), base_url="http://engine") as client:
        yield client
    await engine.stop()


def _fields(path: str, **fields: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": QUESTION} if path == CHAT else {"prompt": "Once upon", "max_tokens": 100}
    return {"model": "tiny", **asked, **fields}


async def _whole(http: httpx.AsyncClient, path: str, **fields: Any) -> dict[str, Any]:
    answer = await http.post(path, json=_fields(path, **fields))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def _events(http: httpx.AsyncClient, path: str, body: bytes) -> list[bytes]:
    answer = await http.post(path, content=body)
    assert answer.status_code == 200
    return [event + b"\n\n" for event in answer.content.split(b"\n\n")[:-1]]


async def _chunks(http: httpx.AsyncClient, path: str, **fields: Any) -> list[dict[str, Any]]:
    events = await _events(http, path, json.dumps(_fields(path, stream=True, **fields)).encode())
    assert events[-1] == b"data: [DONE]\n\n"
    return [json.loads(event[6:]) for event in events[:-1]]


# --- ids in vLLM's form ---


async def test_chat_shows_its_prompt_beside_the_choices_and_each_chunks_tokens_within(http: httpx.AsyncClient) -> None:
    prompt, question = read_conversation(QUESTION)
    first, *rest = await _chunks(http, CHAT, return_token_ids=True)
    assert first["prompt_token_ids"] == prompt
    assert "token_ids" not in first["choices"][0]
    shown = [token for chunk in rest for token in chunk["choices"][0]["token_ids"]]
    assert shown == tokenize(answer_text(question))
    assert all("prompt_token_ids" not in chunk for chunk in rest)
    whole = await _whole(http, CHAT, return_token_ids=True)
    assert (whole["prompt_token_ids"], whole["choices"][0]["token_ids"]) == (prompt, shown)
    assert whole["usage"]["completion_tokens"] == len(shown)


async def test_completion_shows_its_prompt_within_the_first_choice(http: httpx.AsyncClient) -> None:
    prompt = tokenize("Once upon")
    first, *rest = (chunk["choices"][0] for chunk in await _chunks(http, COMPLETIONS, return_token_ids=True))
    assert first["prompt_token_ids"] == prompt
    assert all(choice["prompt_token_ids"] is None for choice in rest)
    shown = [token for choice in [first, *rest] for token in choice["token_ids"]]
    assert shown == tokenize(answer_text("Once upon"))
    choice = (await _whole(http, COMPLETIONS, return_token_ids=True))["choices"][0]
    assert (choice["prompt_token_ids"], choice["token_ids"]) == (prompt, shown)


async def test_ids_are_null_unless_asked_for(http: httpx.AsyncClient) -> None:
    first, *rest = await _chunks(http, CHAT)
    assert first["prompt_token_ids"] is None
    assert all(chunk["choices"][0]["token_ids"] is None for chunk in rest)
    assert {chunk["created"] for chunk in rest} == {first["created"]}
    for choice in [chunk["choices"][0] for chunk in await _chunks(http, COMPLETIONS)]:
        assert (choice["token_ids"], choice["prompt_token_ids"]) == (None, None)
    whole = await _whole(http, CHAT)
    assert (whole["prompt_token_ids"], whole["choices"][0]["token_ids"]) == (None, None)


async def test_each_choice_of_several_shows_its_prompt(http: httpx.AsyncClient) -> None:
    chunks = await _chunks(http, COMPLETIONS, prompt=["a", "b"], return_token_ids=True)
    shown = {c["index"]: c["prompt_token_ids"] for chunk in chunks for c in chunk["choices"] if c["prompt_token_ids"]}
    assert shown == {0: tokenize("a"), 1: tokenize("b")}
    roles = [chunk["choices"][0] for chunk in await _chunks(http, CHAT, n=2)][:2]
    assert [(role["index"], role["delta"]["role"]) for role in roles] == [(0, "assistant"), (1, "assistant")]


# --- going on ---

CONVERSATIONS = [
    QUESTION,
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ""}],
    [*QUESTION, {"role": "assistant", "content": answer_text("What else?")}, {"role": "user", "content": "Und 世界?"}],
    [{"role": "user", "content": "[simulated] You asked: [simulated"}],
    [{"role": "system", "content": "Only this."}],
]


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("length", [None, 90])
def test_answer_in_a_chats_prompt_is_recalled_wherever_it_was_cut(
    messages: list[dict[str, str]], length: int | None
) -> None:
    prompt, question = read_conversation(messages)
    answer = make_answer(question, length or 1000, ignore_eos=length is not None)
    for said in range(len(answer.tokens) + 1):
        assert recall([*prompt, *answer.tokens[:said]]) == (question, said)


# A prompt that itself ends as answers begin can be read in two ways once its answer quotes it.
PROMPTS = st.text(st.characters(codec="utf-8", exclude_characters="["), min_size=1, max_size=30)


@given(prompt=PROMPTS, cut=st.integers(1, 40))
def test_answer_in_a_completions_prompt_is_recalled_wherever_it_was_cut(prompt: str, cut: int) -> None:
    ids = tokenize(prompt)
    text = "".join(token_text(token) for token in ids)
    said = make_answer(text, cut).tokens
    assert recall([*ids, *said]) == (text, len(said))


@given(st.text(max_size=30))
def test_token_is_made_of_its_own_text_alone(text: str) -> None:
    for token in tokenize(text):
        assert tokenize(token_text(token)) == [token]


async def test_text_prompt_is_a_question_even_if_it_looks_like_an_answer(http: httpx.AsyncClient) -> None:
    text = "Once upon" + answer_text("Once upon")[:20]
    whole = await _whole(http, COMPLETIONS, prompt=text)
    assert whole["choices"][0]["text"] == answer_text(text)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("fields", [{}, {"max_tokens": 9}, {"max_tokens": 60, "ignore_eos": True}])
async def test_stream_that_moves_from_replica_to_replica_is_the_undisturbed_one(
    http: httpx.AsyncClient, path: str, fields: dict[str, Any]
) -> None:
    asked = json.dumps(_fields(path, stream=True, stream_options={"include_usage": True}, **fields)).encode()
    undisturbed = await _chunks(http, path, stream_options={"include_usage": True}, **fields)
    found = eligible(path.encode(), asked)
    assert isinstance(found, tuple)
    request, body = found
    first = await _events(http, path, body)
    for lost_after in (2, 3, 7, len(first) - 2, len(first) - 1):
        sent = SentTokens(request)
        got = b"".join(sent.pass_on(event) for event in first[:lost_after])
        step: Resume | Finish | GiveUp | None = None
        while not sent.done:
            step = continuation_request(request, sent, 10_000)
            if not isinstance(step, Resume):
                break
            events = await _events(http, step.path.decode(), step.body)
            got += b"".join(sent.pass_on(event) for event in events[:5])
        got += step.events if isinstance(step, Finish) else b""
        chunks = [json.loads(event[6:]) for event in got.split(b"\n\n")[:-2]]
        assert got.endswith(b"data: [DONE]\n\n")
        assert _text(chunks) == _text(undisturbed)
        assert chunks[-2]["choices"][0]["finish_reason"] == undisturbed[-2]["choices"][0]["finish_reason"]
        for counted in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert chunks[-1]["usage"][counted] == undisturbed[-1]["usage"][counted]


def _text(chunks: list[dict[str, Any]]) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(choice["delta"]["content"] if "delta" in choice else choice["text"] for choice in choices)
