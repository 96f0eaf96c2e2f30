"""Open WebUI from PyPI against Roundhouse, given URL and key: what docs/guides/open-webui.md says."""

from collections.abc import Iterator

import pytest

from tests.e2e.house import RunningHouse, until
from tests.e2e.open_webui import OpenWebui, open_webui, said

pytestmark = [pytest.mark.heavy, pytest.mark.full, pytest.mark.timeout(900)]
MODEL = "simulated"


@pytest.fixture(scope="module")
def key(simulated_house: RunningHouse) -> str:
    return simulated_house.succeed("key", "create", "open-webui", "--tenant", "open-webui").strip()


@pytest.fixture(scope="module")
def webui(simulated_house: RunningHouse, key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenWebui]:
    with open_webui(tmp_path_factory.mktemp("open-webui"), f"{simulated_house.url}/v1", key) as running:
        yield running


@pytest.fixture
def second(simulated_house: RunningHouse) -> Iterator[str]:
    """A model deployed while Open WebUI runs."""
    simulated_house.succeed("deploy", "second", "--engine", "simulated")
    yield "second"
    simulated_house.command("undeploy", "second")


def prompt_tokens(house: RunningHouse) -> float:
    """Of all requests so far, by the router's estimate."""
    metrics = house.http.get(f"http://127.0.0.1:{house.ops_port}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in metrics if line.startswith("roundhouse_router_prompt_tokens_total{"))


def test_deployed_model_is_listed_with_its_context_and_answers_in_pieces(webui: OpenWebui) -> None:
    assert webui.models()[MODEL]["max_model_len"] > 0
    lines = webui.stream(MODEL)
    model, pieces = said(lines)
    assert (model, lines[-1]) == (MODEL, "data: [DONE]")
    assert "You asked: Hello" in "".join(pieces)
    assert len(pieces) > 3


def test_chat_page_gets_an_answer_without_sending_tools(simulated_house: RunningHouse, webui: OpenWebui) -> None:
    before = prompt_tokens(simulated_house)
    assert "You asked: Good morning" in webui.chat_page(MODEL, "Good morning")["content"]
    assert 0 < prompt_tokens(simulated_house) - before < 100, "with its tools it would be some 6,000"


def test_model_deployed_meanwhile_is_listed_and_gone_once_removed(
    simulated_house: RunningHouse, webui: OpenWebui, second: str
) -> None:
    until(lambda: second in webui.models(), 5, "the new model in the list")
    assert said(webui.stream(second))[0] == second
    simulated_house.succeed("undeploy", second)
    until(lambda: second not in webui.models(), 5, "the end of the removed model in the list")
    assert MODEL in webui.models()


def test_chat_stays_with_one_deployment_of_an_alias(
    simulated_house: RunningHouse, webui: OpenWebui, second: str
) -> None:
    simulated_house.succeed("alias", "set", "shared", f"{MODEL}=1", f"{second}=1")
    try:
        until(lambda: "shared" in webui.models(), 5, "the alias in the list")
        # Fixed ids, so that their sessions fall the same way each time: to either side.
        answered = [
            {said(webui.stream("shared", chat_id=f"temporary:{chat}"))[0] for _ in range(4)} for chat in range(8)
        ]
    finally:
        simulated_house.succeed("alias", "rm", "shared")
    assert all(len(models) == 1 for models in answered)
    assert set().union(*answered) == {MODEL, second}


def test_sleeping_model_stays_listed_and_its_first_answer_tells_how_far_it_is(
    simulated_house: RunningHouse, webui: OpenWebui
) -> None:
    body = {
        "engine": "simulated",
        "simulation": {"start_s": 2},
        "scaling": {"min_replicas": 0, "max_replicas": 1, "idle_timeout_s": 1},
    }
    house = simulated_house
    house.http.put(f"{house.url}/api/v1/deployments/napping", json=body, headers=house.headers).raise_for_status()
    try:
        until(lambda: house.models().get("napping", {}).get("status") == "asleep", 120, "falling asleep")
        assert webui.models()["napping"]["status"] == "asleep"
        lines = webui.stream("napping")
    finally:
        house.succeed("undeploy", "napping")
    assert lines[0].startswith(': roundhouse {"status":')
    assert "You asked: Hello" in "".join(said(lines)[1])
    assert lines[-1] == "data: [DONE]"


def test_member_sees_every_model(webui: OpenWebui) -> None:
    with webui.member() as http:
        assert MODEL in webui.models(http)


def test_check_of_a_connection_passes_with_the_key_and_says_why_not_without(
    simulated_house: RunningHouse, webui: OpenWebui, key: str
) -> None:
    connection = {"url": f"{simulated_house.url}/v1", "key": key}
    assert MODEL in {each["id"] for each in webui.http.post("/openai/verify", json=connection).json()["data"]}
    refused = webui.http.post("/openai/verify", json=connection | {"key": "rh-wrong"})
    assert refused.status_code == 401
    assert "This API key is not known" in refused.json()["error"]["message"]
