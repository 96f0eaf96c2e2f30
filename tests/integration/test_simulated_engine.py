"""The simulated engine behind the replica's own server, on a real socket, with the real SDKs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import openai
import pytest

from replicas.engine import make_engine
from replicas.errors import EngineStartError, EngineUnhealthyError
from replicas.server import ReplicaServer
from replicas.simulated_engine import SimulatedEngine
from replicas.types import EngineKind, ReplicaSpec, SimulationSettings

TOKEN = "secret-of-this-replica"
FAST = SimulationSettings(prefill_tokens_per_s=1e6, inter_token_s=0.0005, inter_token_per_running_s=0)
SLOW = SimulationSettings(inter_token_s=30.0)
QUESTION: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "[simulated] You asked: What is the capital of France?"


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until `condition` holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # what we wait for is the loop's own work
            await asyncio.sleep(0)


@dataclass
class Running:
    engine: SimulatedEngine
    server: ReplicaServer
    url: str
    http: httpx.AsyncClient

    @property
    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=TOKEN, max_retries=0)

    @property
    def anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(base_url=self.url, auth_token=TOKEN, max_retries=0)

    async def in_flight(self, count: int) -> None:
        """Return once `count` requests are inside."""
        await until(lambda: self.server.in_flight == count)

    async def chat(self, **fields: Any) -> httpx.Response:
        return await self.http.post("/v1/chat/completions", json={"model": "tiny", "messages": QUESTION, **fields})


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def _start(simulation: SimulationSettings = FAST, **faults: Any) -> Running:
            engine = SimulatedEngine()
            await engine.start(_spec(simulation, faults), lambda _: None)
            server = ReplicaServer(engine, TOKEN)
            url = f"http://127.0.0.1:{await server.start('127.0.0.1')}"
            stack.push_async_callback(engine.stop)
            stack.push_async_callback(server.stop)
            # verify=False: building a TLS context for plain HTTP takes longer than the tests.
            http = httpx.AsyncClient(base_url=url, verify=False, headers={"authorization": f"Bearer {TOKEN}"})
            stack.push_async_callback(http.aclose)
            return Running(engine, server, url, http)

        yield _start


def _spec(simulation: SimulationSettings, faults: dict[str, Any]) -> ReplicaSpec:
    return ReplicaSpec(
        deployment="tiny",
        model="tiny",
        engine=EngineKind.SIMULATED,
        revision="r",
        engine_args={"faults": faults} if faults else {},
        simulation=simulation,
    )


# --- the door ---


WRONG = [None, "Bearer wrong", "Bearer", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN}x"]


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json", "/metrics", "/v1/models", "/nowhere"])
async def test_every_route_needs_the_token(start: Start, path: str) -> None:
    running = await start()
    async with httpx.AsyncClient(base_url=running.url, verify=False) as client:
        for authorization in WRONG:
            answer = await client.get(path, headers={"authorization": authorization} if authorization else {})
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "invalid_token"


async def test_the_request_id_comes_back(start: Start) -> None:
    running = await start()
    answer = await running.http.get("/health", headers={"x-request-id": "abc-1"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "abc-1")


async def test_a_draining_replica_finishes_what_it_has_and_takes_no_more(start: Start) -> None:
    running = await start()
    async with running.http.stream(
        "POST", "/v1/chat/completions", json={"model": "tiny", "messages": QUESTION, "stream": True}
    ) as stream:
        assert running.server.in_flight == 1
        running.server.drain()
        refused = await running.http.get("/v1/models")
        assert (refused.status_code, refused.headers["connection"]) == (503, "close")
        assert running.server.in_flight == 1
        lines = [line async for line in stream.aiter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    await running.server.wait_empty(5)
    assert running.server.in_flight == 0


async def test_a_drain_does_not_wait_longer_than_told(start: Start) -> None:
    running = await start(SLOW)
    request = asyncio.create_task(running.chat())
    await running.in_flight(1)
    running.server.drain()
    await running.server.wait_empty(0.01)
    assert running.server.in_flight == 1
    request.cancel()


async def test_a_client_that_leaves_frees_the_engine(start: Start) -> None:
    running = await start(SLOW)
    for stream in (False, True):
        request = asyncio.create_task(running.chat(stream=stream))
        await running.in_flight(1)
        await until(lambda: running.engine.load().running == 1)
        request.cancel()
        await asyncio.wait({request})
        await running.in_flight(0)
        await until(lambda: running.engine.load().running + running.engine.load().waiting == 0)
        assert running.engine.load().kv_usage == 0


# --- OpenAI's API ---


async def test_models(start: Start) -> None:
    running = await start()
    models = (await running.openai.models.list()).data
    assert [model.id for model in models] == ["tiny"]


async def test_chat(start: Start) -> None:
    running = await start()
    first = await running.openai.chat.completions.create(model="tiny", messages=QUESTION)
    again = await running.openai.chat.completions.create(model="tiny", messages=QUESTION)
    assert first.choices[0].message.content is not None
    assert first.choices[0].message.content.startswith(ANSWER)
    assert first.choices[0].message.content == again.choices[0].message.content
    assert first.choices[0].finish_reason == "stop"
    assert first.usage is not None
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens


async def test_chat_streamed_is_the_same_answer(start: Start) -> None:
    running = await start()
    whole = await running.openai.chat.completions.create(model="tiny", messages=QUESTION, n=2)
    stream = await running.openai.chat.completions.create(
        model="tiny",
        messages=QUESTION,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    texts, usage = ["", ""], None
    reasons: list[str | None] = [None, None]
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert reasons == ["stop", "stop"]
    assert usage is not None
    assert whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


async def test_length_and_stop(start: Start) -> None:
    running = await start()
    short = (await running.chat(max_tokens=3)).json()
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 3
    stopped = (await running.chat(stop=["capital"])).json()["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert stopped["message"]["content"] == "[simulated] You asked: What is the "
    forced = (await running.chat(max_tokens=200, ignore_eos=True)).json()
    assert forced["usage"]["completion_tokens"] == 200


async def test_the_next_turn_of_a_chat_finds_its_prefix(start: Start) -> None:
    running = await start()
    long = [{"role": "user", "content": "word " * 100}]
    first = (await running.chat(messages=long)).json()
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    turn = [*long, first["choices"][0]["message"], {"role": "user", "content": "And then?"}]
    second = (await running.chat(messages=turn)).json()
    cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached > first["usage"]["prompt_tokens"]


async def test_completions(start: Start) -> None:
    running = await start()
    answer = await running.openai.completions.create(model="tiny", prompt=["one", "two"], max_tokens=100)
    assert [choice.text.startswith("[simulated] You asked: ") for choice in answer.choices] == [True, True]
    stream = await running.openai.completions.create(model="tiny", prompt="one", max_tokens=100, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == answer.choices[0].text


async def test_responses(start: Start) -> None:
    running = await start()
    whole = await running.openai.responses.create(model="tiny", input="Hello?", instructions="Be brief.")
    assert whole.output_text.startswith("[simulated] You asked: Hello?")
    assert whole.usage is not None
    async with running.openai.responses.stream(model="tiny", input="Hello?", instructions="Be brief.") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == whole.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


async def test_embeddings(start: Start) -> None:
    running = await start()
    one, other = (await running.openai.embeddings.create(model="tiny", input=["a b", "a b"])).data
    assert one.embedding == other.embedding
    assert sum(value * value for value in one.embedding) == pytest.approx(1, abs=1e-5)


async def test_tokenize_and_back(start: Start) -> None:
    running = await start()
    tokens = (await running.http.post("/tokenize", json={"model": "tiny", "prompt": "Grüße, 世界!"})).json()
    assert tokens["count"] == len(tokens["tokens"])
    back = await running.http.post("/detokenize", json={"model": "tiny", "tokens": tokens["tokens"]})
    assert back.json()["prompt"] == "Grüße, 世界!"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model": "other"}, 404),
        ({"messages": []}, 400),
        ({"messages": "hello"}, 400),
        ({"max_tokens": -1}, 400),
        ({"max_tokens": 10**9}, 400),
        ({"n": 1000}, 400),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400),
        ({"messages": [{"role": "user", "content": "long " * 70_000}]}, 400),
    ],
)
async def test_bad_requests_are_refused_in_openais_envelope(start: Start, fields: dict[str, Any], status: int) -> None:
    running = await start()
    answer = await running.chat(**fields)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_a_body_that_is_not_json(start: Start) -> None:
    running = await start()
    assert (await running.http.post("/v1/chat/completions", content=b"{")).status_code == 400


# --- Anthropic's API ---


async def test_messages(start: Start) -> None:
    running = await start()
    whole = await running.anthropic.messages.create(model="tiny", max_tokens=100, messages=QUESTION)
    assert isinstance(whole.content[0], anthropic.types.TextBlock)
    assert whole.content[0].text.startswith(ANSWER)
    assert whole.stop_reason == "end_turn"
    async with running.anthropic.messages.stream(model="tiny", max_tokens=100, messages=QUESTION) as stream:
        text = "".join([part async for part in stream.text_stream])
        final = await stream.get_final_message()
    assert text == whole.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens


async def test_messages_stop_and_length(start: Start) -> None:
    running = await start()
    short = await running.anthropic.messages.create(model="tiny", max_tokens=2, messages=QUESTION)
    assert short.stop_reason == "max_tokens"
    stopped = await running.anthropic.messages.create(
        model="tiny",
        max_tokens=100,
        messages=QUESTION,
        stop_sequences=["France"],
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "France")


async def test_messages_refuse_in_anthropics_envelope(start: Start) -> None:
    running = await start()
    with pytest.raises(anthropic.NotFoundError) as caught:
        await running.anthropic.messages.create(model="other", max_tokens=5, messages=QUESTION)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"


# --- faults ---


async def test_a_start_that_fails() -> None:
    engine = make_engine(EngineKind.SIMULATED)
    spec = _spec(FAST, {"fail_to_start": "Out of luck.", "fail_permanently": True})
    with pytest.raises(EngineStartError, match="Out of luck") as caught:
        await engine.start(spec, lambda _: None)
    assert caught.value.permanent
    await engine.stop()


async def test_a_fault_that_does_not_exist() -> None:
    with pytest.raises(EngineStartError, match="faults"):
        await SimulatedEngine().start(_spec(FAST, {"catch_fire": True}), lambda _: None)


async def test_an_engine_that_dies_cuts_its_stream_so_that_nothing_looks_whole(start: Start) -> None:
    running = await start(die_after_tokens=5)
    with pytest.raises(httpx.RemoteProtocolError):
        await running.chat(stream=True)
    assert running.engine.dead
    # The gate speaks for it from now on, on every route.
    assert (await running.chat()).json()["error"]["code"] == "engine_dead"
    assert (await running.http.get("/health")).status_code == 503
    with pytest.raises(EngineUnhealthyError):
        await running.engine.generate_one()


async def test_an_engine_that_dies_sends_who_waits_elsewhere(start: Start) -> None:
    running = await start(die_after_tokens=5)
    assert (await running.chat()).status_code == 503


async def test_an_engine_that_hangs_looks_alive_but_answers_nothing(start: Start) -> None:
    running = await start(hang_after_tokens=1)
    await running.engine.generate_one()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await running.engine.generate_one()
    assert not running.engine.dead


async def test_every_second_request_fails(start: Start) -> None:
    running = await start(error_every=2)
    assert [(await running.chat()).status_code for _ in range(4)] == [200, 500, 200, 500]


async def test_stopping_ends_what_is_in_flight(start: Start) -> None:
    running = await start(SLOW)
    request = asyncio.create_task(running.chat())
    await running.in_flight(1)
    await running.engine.stop()
    assert (await request).status_code == 503
    await running.engine.stop()
