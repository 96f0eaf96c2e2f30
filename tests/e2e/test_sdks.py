"""The real OpenAI and Anthropic clients against real vLLM, through the router."""

from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.conftest import SMOLLM2
from tests.e2e.house import RunningHouse
from tests.honest_models import LLAMA, write_model

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(400)]
FRANCE: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def client(real_house: RunningHouse) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{real_house.url}/v1", api_key=real_house.key)


@pytest.fixture(scope="module")
def claude(real_house: RunningHouse) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=real_house.url, api_key=real_house.key)


def test_up_prints_url_login_link_and_a_curl_line(real_house: RunningHouse) -> None:
    assert real_house.started is not None
    printed = real_house.started.stdout
    assert f"Ready. {real_house.url}" in printed
    assert f"{real_house.url}/login#token=" in printed
    assert f"curl {real_house.url}/v1/chat/completions" in printed


def test_models_listed_by_the_sdk_hold_the_default_model(client: openai.OpenAI) -> None:
    (model,) = [each for each in client.models.list() if each.id == SMOLLM2]
    assert model.owned_by == "roundhouse"
    assert client.models.retrieve(SMOLLM2).id == SMOLLM2


def test_chat_at_temperature_zero_names_paris(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=SMOLLM2, messages=FRANCE, temperature=0)
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 1


def test_chat_streamed_names_paris_in_many_pieces(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=SMOLLM2,
        messages=FRANCE,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "Paris" in "".join(pieces)
    assert len([piece for piece in pieces if piece]) > 3
    assert chunks[-1].usage is not None


def test_completions_and_responses_answer_too(client: openai.OpenAI) -> None:
    text = client.completions.create(model=SMOLLM2, prompt="The capital of France is", max_tokens=5, temperature=0)
    assert "Paris" in text.choices[0].text
    response = client.responses.create(model=SMOLLM2, input="What is the capital of France?", temperature=0)
    assert "Paris" in response.output_text


def test_embeddings_of_a_chat_model_are_refused_in_the_common_envelope(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.embeddings.create(model=SMOLLM2, input="hello")
    assert refused.value.status_code in (400, 404, 405, 501)


def test_tokenize_counts_what_the_engine_counts(real_house: RunningHouse) -> None:
    answer = real_house.http.post(
        f"{real_house.url}/tokenize", headers=real_house.headers, json={"model": SMOLLM2, "prompt": "hello world"}
    )
    assert answer.status_code == 200
    assert answer.json()["count"] == len(answer.json()["tokens"])


def test_messages_by_the_anthropic_sdk_answer_streamed_and_not(claude: anthropic.Anthropic) -> None:
    greedy = {"temperature": 0}
    message = claude.messages.create(model=SMOLLM2, max_tokens=30, messages=FRANCE, extra_body=greedy)
    assert "Paris" in message.content[0].text  # type: ignore[union-attr]
    with claude.messages.stream(model=SMOLLM2, max_tokens=30, messages=FRANCE, extra_body=greedy) as stream:
        assert "Paris" in stream.get_final_text()


def test_wrong_key_unknown_model_and_broken_body_are_refused_as_the_sdks_expect(
    real_house: RunningHouse, client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    stranger = openai.OpenAI(base_url=f"{real_house.url}/v1", api_key="rh-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    with pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model=SMOLLM2, messages=FRANCE)
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.chat.completions.create(model="nobody", messages=FRANCE)
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="nobody", max_tokens=5, messages=FRANCE)
    broken = real_house.http.post(
        f"{real_house.url}/v1/chat/completions", headers=real_house.headers, content=b'{"model": '
    )
    assert broken.status_code == 400


def test_answer_names_replica_revision_and_request(real_house: RunningHouse) -> None:
    answer = real_house.chat(SMOLLM2, max_tokens=1)
    (replica,) = [each for each in real_house.api("/replicas") if each["deployment"] == SMOLLM2]
    assert answer.headers["x-roundhouse-replica"] == replica["id"]
    assert answer.headers["x-roundhouse-revision"] == replica["revision"]
    assert answer.headers["x-request-id"]


def test_house_on_one_machine_listens_on_loopback_only(real_house: RunningHouse) -> None:
    addresses = {address.removeprefix("::ffff:") for address in real_house.listeners()}
    assert addresses <= {"127.0.0.1", "::1"}


def test_engine_port_without_its_token_answers_nothing(real_house: RunningHouse) -> None:
    (replica,) = [each for each in real_house.api("/replicas") if each["deployment"] == SMOLLM2]
    for path in ("/v1/models", "/health", "/metrics", "/docs", "/openapi.json"):
        assert real_house.http.get(f"http://{replica['address']}{path}", headers=real_house.headers).status_code == 401


def test_unknown_architecture_is_refused_with_a_sentence_and_leaves_nothing(
    real_house: RunningHouse, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("models") / "strange"
    write_model(folder, LLAMA | {"architectures": ["StrangeForCausalLM"], "model_type": "strange"})
    done = real_house.command("deploy", str(folder))
    assert done.returncode == 1
    assert "StrangeForCausalLM" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert real_house.models()["strange"]["status"] == "failed"
    real_house.succeed("undeploy", "strange")
    real_house.succeed("model", "rm", "strange")
    assert "strange" not in real_house.models()
