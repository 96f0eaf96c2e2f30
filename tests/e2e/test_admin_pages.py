"""The admin pages as an admin uses them: real Chromium, the real house, a simulated engine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.admin import SETTLED_MS, confirm, go, log_in, row
from tests.e2e.chat import MODEL
from tests.e2e.house import RunningHouse, until

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

CARD = {
    "index": 0,
    "name": "NVIDIA GeForce RTX 4090 D",
    "memory_bytes": 24 * 2**30,
    "free_bytes": 6 * 2**30,
    "driver": "570.86",
    "usage": 0.37,
    "slices": ["MIG 1g.5gb"],
}


@pytest.fixture
def page(context: BrowserContext, simulated_house: RunningHouse) -> Page:
    return log_in(context.new_page(), simulated_house)


def replicas(house: RunningHouse, name: str = MODEL) -> list[dict[str, Any]]:
    return [each for each in house.api("/replicas") if each["deployment"] == name and each["state"] == "ready"]


def test_overview_is_the_first_page_and_shows_traffic_as_it_comes(page: Page, simulated_house: RunningHouse) -> None:
    page.goto(f"{simulated_house.url}/admin")
    expect(page).to_have_url(re.compile("/admin/overview$"))
    model = row(page, "Models", MODEL)
    expect(model.locator('[data-state="ready"]')).to_be_visible()
    for _ in range(5):
        assert simulated_house.chat(MODEL, max_tokens=8).status_code == 200
    # A page that is open learns it by itself.
    expect(model.locator('[data-column="requests"]')).not_to_have_text(re.compile("^(0|–)$"), timeout=SETTLED_MS)
    chart = page.locator('[data-chart="Requests per second"]')
    expect(chart.locator("canvas")).to_be_visible()
    expect(chart.get_by_role("img")).to_have_attribute("aria-label", re.compile(rf"{MODEL} \d"))
    expect(model.get_by_role("img")).to_have_attribute("aria-label", re.compile("at most (?!none)"))
    chart.locator(".u-over").hover()
    page.get_by_text("24 hours").click()
    expect(page).to_have_url(re.compile("window=24h"))
    expect(page.locator('[data-chart="Time to first token"] canvas')).to_be_visible()
    page.reload()
    expect(page.get_by_role("radio", name="24 hours")).to_be_checked()


def test_past_is_still_there_after_the_orchestrator_was_killed(page: Page, simulated_house: RunningHouse) -> None:
    def points() -> int:
        return sum(value is not None for value in simulated_house.api("/history")["total"]["requests_per_s"])

    before = until(lambda: points() >= 2 and points(), 60, "two points of the past")
    simulated_house.process_named("orchestrator.main").kill()

    def back() -> bool:
        answer = simulated_house.http.get(f"{simulated_house.url}/api/v1/system", headers=simulated_house.headers)
        return answer.status_code == 200 and simulated_house.api("/system")["ray_connected"]

    until(back, 90, "the orchestrator is back")
    # The look that had not been written yet may be lost, no more.
    assert points() >= before - 1


def test_first_steps_lead_on_and_can_be_skipped_for_good(page: Page, simulated_house: RunningHouse) -> None:
    def untouched(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["total"]["requests_per_s"] = [0] * len(body["at"])
        route.fulfill(response=answer, json=body)

    page.route("**/api/v1/history?*", untouched)
    go(page, simulated_house, "overview")
    steps = page.get_by_role("region", name="Three steps to a first answer")
    expect(steps.locator('[data-step="model"]')).to_have_attribute("data-done", "true")
    expect(steps.locator('[data-step="ask"]')).to_have_attribute("aria-current", "step")
    steps.get_by_role("link", name="Connect a program").click()
    expect(page.get_by_role("heading", name="Connect")).to_be_visible()
    page.go_back()
    steps.get_by_role("button", name="Skip").click()
    expect(steps).to_have_count(0)
    page.reload()
    expect(page.get_by_role("table", name="Models")).to_be_visible()
    expect(steps).to_have_count(0)


def test_problem_appears_in_the_open_page_with_what_mends_it(page: Page, simulated_house: RunningHouse) -> None:
    def deploy(**engine_args: Any) -> None:
        url = f"{simulated_house.url}/api/v1/deployments/broken"
        body = {"engine": "simulated", "engine_args": engine_args}
        simulated_house.http.put(url, headers=simulated_house.headers, json=body).raise_for_status()

    go(page, simulated_house, "overview")
    deploy(faults={"fail_to_start": "The card has no memory left.", "fail_permanently": True})
    trouble = page.locator('[data-problem="deployment_failed"]')
    expect(trouble).to_contain_text("broken could not start: The card has no memory left.", timeout=SETTLED_MS)
    trouble.get_by_role("link", name="Read its log").click()
    expect(page.get_by_role("log")).to_contain_text("failed: The card has no memory left.")
    expect(page.get_by_text("this is what it wrote last")).to_be_visible()
    page.go_back()
    with page.expect_response("**/deployments/broken/retry") as retried:
        trouble.get_by_role("button", name="Try again").click()
    assert retried.value.status == 204
    deploy()
    expect(trouble).to_have_count(0, timeout=SETTLED_MS)
    expect(row(page, "Models", "broken").locator('[data-state="ready"]')).to_be_visible(timeout=SETTLED_MS)
    simulated_house.succeed("undeploy", "broken")


def test_log_of_a_replica_is_live_searched_paused_and_copied(page: Page, simulated_house: RunningHouse) -> None:
    (replica,) = replicas(simulated_house)
    go(page, simulated_house, "replicas")
    page.get_by_role("button", name=f"Log {replica['id']}").click()
    log = page.get_by_role("log")
    expect(log).to_contain_text(f"Replica {replica['id']} is ready")
    search = page.get_by_role("textbox", name="Search in the log")
    search.fill("is READY")
    expect(log.locator("mark").first).to_have_text("is")
    expect(log).not_to_contain_text("starts with")
    search.fill("no such words <img src=x onerror=alert(1)>")
    expect(log).to_contain_text("No line has")
    search.fill("")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused; 0 new lines")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy what is shown").click()
    assert f"Replica {replica['id']} is ready" in page.evaluate("navigator.clipboard.readText()")
    page.reload()
    expect(log).to_contain_text("is ready")
    page.goto(f"{simulated_house.url}/admin/replicas?log=nobody")
    expect(page.get_by_text("There is no such replica")).to_be_visible()


def test_cordon_is_kept_until_it_is_taken_back(page: Page, simulated_house: RunningHouse) -> None:
    (replica,) = replicas(simulated_house)
    go(page, simulated_house, "replicas")
    page.get_by_role("button", name=f"Cordon {replica['id']}").click()
    expect(row(page, "Replicas", MODEL)).to_contain_text("gets nothing new")
    page.reload()
    expect(row(page, "Replicas", MODEL)).to_contain_text("gets nothing new")
    go(page, simulated_house, "overview")
    trouble = page.locator('[data-problem="all_cordoned"]')
    expect(trouble).to_contain_text(f"Every replica of {MODEL} is cordoned", timeout=SETTLED_MS)
    trouble.get_by_role("button", name="Uncordon it").click()
    expect(trouble).to_have_count(0, timeout=SETTLED_MS)
    assert not replicas(simulated_house)[0]["cordoned"]
    assert simulated_house.chat(MODEL, max_tokens=4).status_code == 200


def test_restarted_replica_is_replaced_by_another_one(page: Page, simulated_house: RunningHouse) -> None:
    (before,) = replicas(simulated_house)
    go(page, simulated_house, "replicas")
    page.get_by_role("button", name=f"Restart {before['id']}").click()
    confirm(page, "Restart")
    until(lambda: any(each["id"] != before["id"] for each in replicas(simulated_house)), 120, "another replica")
    (after,) = replicas(simulated_house)
    expect(page.get_by_role("button", name=f"Restart {after['id']}")).to_be_visible(timeout=SETTLED_MS)
    expect(page.get_by_role("button", name=f"Restart {before['id']}")).to_have_count(0)


def test_key_shows_what_it_was_used_for_until_it_is_revoked(page: Page, simulated_house: RunningHouse) -> None:
    go(page, simulated_house, "keys")
    page.get_by_role("button", name="Create key").click()
    page.get_by_label("Name", exact=True).fill("the team")
    page.get_by_role("button", name="Create", exact=True).click()
    secret = page.get_by_test_id("new-key").inner_text()
    page.get_by_role("button", name="Done").click()
    team = row(page, "Keys", "the team")
    expect(team).to_contain_text("never")
    headers = {"authorization": f"Bearer {secret}"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
    url = f"{simulated_house.url}/v1/chat/completions"
    for _ in range(3):
        assert simulated_house.http.post(url, headers=headers, json=body).status_code == 200
    expect(team.locator('[data-column="requests"]')).to_have_text("3", timeout=SETTLED_MS)
    expect(team).not_to_contain_text("never")
    expect(team.locator('[data-column="tokens"]')).to_contain_text("15")
    page.get_by_role("button", name="Revoke the team").click()
    confirm(page, "Revoke")
    expect(team).to_have_count(0)
    assert simulated_house.http.post(url, headers=headers, json=body).status_code == 401


def test_snippets_work_as_they_stand(page: Page, simulated_house: RunningHouse, tmp_path: Path) -> None:
    go(page, simulated_house, "connect")
    expect(page.get_by_test_id("endpoint")).to_have_text(f"{simulated_house.url}/v1")
    environment = os.environ | {"ROUNDHOUSE_API_KEY": simulated_house.key, "NO_PROXY": "127.0.0.1"}
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for name, command in (("curl", ["bash"]), ("Python", [sys.executable])):
        page.get_by_role("button", name=f"Copy the snippet for {name}").click()
        script = tmp_path / name
        script.write_text(page.evaluate("navigator.clipboard.readText()"))
        done = subprocess.run([*command, str(script)], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "simulated engine" in done.stdout


def test_node_shows_its_gpus_and_their_slices_and_can_be_cordoned(page: Page, simulated_house: RunningHouse) -> None:
    (node,) = simulated_house.api("/nodes")
    go(page, simulated_house, "nodes")
    page.get_by_role("button", name=f"Cordon {node['hostname']}").click()
    expect(row(page, "Nodes", node["hostname"])).to_contain_text("no new replica starts here")
    page.get_by_role("button", name=f"Uncordon {node['hostname']}").click()
    expect(row(page, "Nodes", node["hostname"])).not_to_contain_text("no new replica")
    # There is no GPU where this runs: the same page, told of one.
    page.route("**/api/v1/events", lambda route: route.abort())
    page.route("**/api/v1/nodes", lambda route: route.fulfill(json=[node | {"gpus": 1, "gpu_devices": [CARD]}]))
    page.reload()
    card = page.locator('[data-gpu="0"]')
    for text in ("RTX 4090 D", "18 GiB", "24 GiB", "37 %", "MIG 1g.5gb"):
        expect(card).to_contain_text(text)


def test_names_and_log_lines_with_markup_in_them_stay_text(page: Page, simulated_house: RunningHouse) -> None:
    evil = '<img src=x onerror="window.hacked=1">'
    part = {"lines": [{"stream": "err", "text": evil}], "position": "out:0 err:1", "ended": False}
    events = f"event: log\ndata: {json.dumps(part)}\n\nevent: ended\ndata: {{}}\n\n"
    problem = {
        "kind": "deployment_failed", "severity": "bad", "subject": evil, "message": evil,
        "values": {"name": evil, "reason": evil}, "fix": {"remedy": "open", "name": "", "replicas": None, "page": evil},
        "log": "",
    }  # fmt: skip
    stream = "text/event-stream"
    page.route("**/log/stream?*", lambda route: route.fulfill(content_type=stream, body=events))
    page.route("**/api/v1/events", lambda route: route.abort())
    page.route("**/api/v1/problems", lambda route: route.fulfill(json=[problem, problem | {"kind": evil}]))
    go(page, simulated_house, "replicas?log=x")
    expect(page.get_by_role("log")).to_contain_text(evil)
    go(page, simulated_house, "overview")
    expect(page.locator("[data-problem]").first).to_contain_text(evil)
    assert page.evaluate("window.hacked") is None
