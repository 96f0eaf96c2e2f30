"""Ways through the admin pages that an admin goes, and what must hold on each: real Chromium, the real house."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.admin import SETTLED_MS, confirm, go, log_in, panel_of, row
from tests.e2e.attacks import expect_inert, note_foreign_requests, poisoned
from tests.e2e.browser import browser
from tests.e2e.chat import MODEL, put_deployment
from tests.e2e.house import RunningHouse, until
from tests.e2e.page_checks import SCREENS, expect_sound, note_complaints
from tests.honest_models import data_bytes, header_of, llama_shapes, write_model, write_weights

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

CHAT, TINY = "tiny-chat", "tiny"
PAGES = ("overview", "deployments", "models", f"models/{TINY}", "replicas", "nodes", "keys", "connect")
PANELS = (
    "deployments?deploy", f"deployments?change={CHAT}", f"deployments?swap={CHAT}", f"deployments?scaling={CHAT}",
    "deployments?alias", "models?upload", "models?import", "keys?create",
)  # fmt: skip
CLIENTS = ("Python", "JavaScript", "LangChain", "curl", "Open WebUI", "LibreChat", "Continue", "Zed", "Cursor")
NAMES = frozenset(
    {"name", "hostname", "deployment", "model", "detail", "reason", "notes", "author", "description", "source"}
)


@pytest.fixture(scope="module")
def house(simulated_house: RunningHouse, tmp_path_factory: pytest.TempPathFactory) -> RunningHouse:
    """With a model of two revisions, the first of which is served."""
    folder = write_model(tmp_path_factory.mktemp("models") / TINY)
    header = header_of(llama_shapes())
    simulated_house.succeed("model", "push", str(folder), "--name", TINY, "--notes", "first numbers")
    put_deployment(simulated_house, CHAT, model=TINY, simulation={"swap_s": 1}, routing={"queue_requests": 77})
    ready(simulated_house, CHAT)
    write_weights(folder / "model.safetensors", header, b"\x12" * data_bytes(header))
    simulated_house.succeed("model", "push", str(folder), "--name", TINY, "--notes", "second numbers")
    return simulated_house


def ready(house: RunningHouse, *names: str) -> None:
    def all_ready() -> bool:
        models = house.models()
        return all(models.get(name, {}).get("status") == "ready" for name in names)

    until(all_ready, 120, f"{' and '.join(names)} ready")


@pytest.fixture
def page(context: BrowserContext, house: RunningHouse) -> Page:
    return log_in(context.new_page(), house)


def test_deployment_is_changed_in_a_form_that_holds_what_it_has(page: Page, house: RunningHouse) -> None:
    before = house.api(f"/deployments/{CHAT}")
    go(page, house, "deployments")
    page.get_by_role("button", name=f"Change {CHAT}").click()
    panel = panel_of(page)
    expect(panel.get_by_role("heading", name=f"Change {CHAT}")).to_be_visible()
    panel.get_by_text("Follows the load").click()
    panel.get_by_label("At most").fill("3")
    panel.get_by_text("Advanced").click()
    expect(panel.get_by_label("Requests at once")).to_have_value("64")
    panel.get_by_role("button", name="Change", exact=True).click()
    expect(panel).to_have_count(0)
    after = house.api(f"/deployments/{CHAT}")
    assert (after["scaling"]["min_replicas"], after["scaling"]["max_replicas"]) == (1, 3)
    kept = ("model", "revision", "simulation", "routing", "engine_args", "drain_deadline_s", "placement")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert (after["simulation"]["swap_s"], after["routing"]["queue_requests"]) == (1, 77)
    # Nothing that its replica loads was changed: it goes on.
    (replica,) = [each for each in house.api("/replicas") if each["deployment"] == CHAT]
    assert replica["state"] == "ready"
    page.get_by_role("button", name=f"Change {CHAT}").click()
    expect(panel.get_by_label("At most")).to_have_value("3")
    panel.get_by_text("Fixed", exact=True).click()
    panel.get_by_role("button", name="Change", exact=True).click()
    expect(panel).to_have_count(0)
    assert house.api(f"/deployments/{CHAT}")["scaling"] is None


def test_alias_is_made_shared_out_and_deleted(page: Page, house: RunningHouse) -> None:
    go(page, house, "deployments")
    page.get_by_role("button", name="Add alias").click()
    panel = panel_of(page)
    panel.get_by_role("button", name="Add alias").click()
    expect(panel.get_by_role("alert")).to_contain_text("Choose a deployment")
    panel.get_by_label("Public name").fill("house-model")
    panel.get_by_role("button", name="Add a target").click()
    for number, (name, weight) in enumerate(((MODEL, "3"), (CHAT, "1")), 1):
        target = panel.get_by_role("group", name=f"Target {number}")
        target.get_by_role("combobox").or_(target.get_by_role("textbox", name="Deployment")).first.click()
        page.get_by_role("option", name=name, exact=True).click()
        target.get_by_role("textbox", name="Weight").fill(weight)
    expect(panel.get_by_role("group", name="Target 1")).to_contain_text("75 % of the sessions")
    panel.get_by_role("button", name="Add alias").click()
    alias = row(page, "Aliases", "house-model")
    expect(alias).to_contain_text("75 % of the sessions")
    expect(alias.locator('[data-state="ready"]')).to_be_visible()
    assert house.chat("house-model", max_tokens=4).status_code == 200
    alias.get_by_role("button", name="Change house-model").click()
    panel.get_by_role("button", name="Remove target 2").click()
    panel.get_by_role("button", name="Change", exact=True).click()
    expect(alias).to_contain_text("100 % of the sessions")
    alias.get_by_role("button", name="Delete house-model").click()
    confirm(page, "Delete")
    expect(alias).to_have_count(0)
    assert "house-model" not in house.models()


def test_host_is_drained_and_taken_back(page: Page, house: RunningHouse) -> None:
    (node,) = house.api("/nodes")
    host = node["hostname"]
    go(page, house, "nodes")
    page.get_by_role("button", name=f"Drain {host}").click()
    confirm(page, "Drain")
    try:
        expect(row(page, "Nodes", host)).to_contain_text("its replicas move elsewhere")
        assert house.api("/nodes")[0]["drained"]
    finally:  # the other tests need it
        page.get_by_role("button", name=f"Uncordon {host}").click()
    expect(row(page, "Nodes", host)).not_to_contain_text("its replicas move elsewhere")
    assert not house.api("/nodes")[0]["drained"]
    ready(house, MODEL, CHAT)


def test_folder_on_the_server_is_imported_and_deleted(page: Page, house: RunningHouse, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "brought")
    go(page, house, "models")
    page.get_by_role("button", name="Import").first.click()
    panel = panel_of(page)
    panel.get_by_label("Source").fill(str(folder))
    panel.get_by_label("Name in the library").fill("brought")
    panel.get_by_role("button", name="Import", exact=True).click()
    brought = row(page, "Models", "brought")
    expect(brought.locator('[data-state="ready"]')).to_be_visible(timeout=SETTLED_MS)
    brought.get_by_role("button", name="Delete brought").click()
    confirm(page, "Delete")
    expect(brought).to_have_count(0)


def test_canary_shows_its_steps_as_it_goes_and_goes_back(page: Page, house: RunningHouse) -> None:
    house.succeed("scale", MODEL, "0")  # the machine may have two CPUs alone
    ready(house, CHAT)
    served = house.api(f"/deployments/{CHAT}")["revision"]
    go(page, house, f"deployments?swap={CHAT}")
    panel = panel_of(page)
    panel.get_by_role("radio").first.check()
    panel.get_by_label("Try it on a part of the sessions first").check()
    panel.get_by_label("Share").fill("20")
    panel.get_by_role("button", name="Swap", exact=True).click()
    swap = panel.get_by_test_id("swap").first
    expect(swap).to_contain_text("Canary: 20 % of the sessions")
    expect(swap.locator('[aria-current="step"]')).to_contain_text("Canary: both serve", timeout=SETTLED_MS)
    page.reload()
    expect(swap.locator('[aria-current="step"]')).to_contain_text("Canary: both serve")
    panel.get_by_role("button", name="Roll back").click()
    expect(swap).to_have_attribute("data-step", "failed", timeout=SETTLED_MS)
    expect(swap).to_contain_text("It was rolled back.")
    assert house.api(f"/deployments/{CHAT}")["revision"] == served
    house.succeed("scale", MODEL, "1")


def test_every_program_has_a_snippet_with_the_address_and_the_model(page: Page, house: RunningHouse) -> None:
    go(page, house, "connect")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for client in CLIENTS:
        page.get_by_role("button", name=f"Copy the snippet for {client}").click()
        assert f"{house.url}/v1" in page.evaluate("navigator.clipboard.readText()"), client


def test_hurtful_names_of_models_hosts_keys_and_files_are_inert(
    page: Page, house: RunningHouse, tmp_path: Path
) -> None:
    foreign = note_foreign_requests(page)

    def poison(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=poisoned(answer.json(), NAMES))

    page.route("**/api/v1/events", lambda route: route.abort())
    page.route(
        re.compile(r"/api/v1/(models|deployments|replicas|nodes|keys|aliases|uploads|history|problems)\b"), poison
    )
    for path in ("overview", "deployments", "models", "replicas", "nodes", "keys", "connect"):
        go(page, house, path)
        if path != "connect":
            expect(page.get_by_role("main")).to_contain_text("<img src=x")
        expect_inert(page)
    page.unroute_all(behavior="ignoreErrors")
    folder = write_model(tmp_path / "named")
    for name in ("<img src=x onerror=window.hurt=1>.json", ".<img src=x onerror=window.hurt=2>"):
        (folder / name).write_text("{}")
    go(page, house, "models?upload")
    panel = panel_of(page)
    panel.get_by_test_id("folder-field").set_input_files(folder)
    expect(panel).to_contain_text("Left out, as their names begin with a dot: .<img src=x")
    panel.get_by_role("button", name="Upload", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("<img src=x")
    expect_inert(page)
    assert foreign == []


@pytest.mark.parametrize(("locale", "width", "dark"), SCREENS)
def test_every_page_and_panel_is_sound_in_each_language_and_width(
    house: RunningHouse, locale: str, width: int, dark: bool
) -> None:
    with browser(width=width, locale=locale, dark=dark) as context:
        page = log_in(context.new_page(), house)
        complaints = note_complaints(page)
        ready(house, CHAT)
        replica: dict[str, Any] = house.api("/replicas")[0]
        for path in (*PAGES, f"replicas?log={replica['id']}"):
            expect_sound(go(page, house, path), locale)
        for path in PANELS:
            go(page, house, path)
            panel_of(page).wait_for()
            for summary in panel_of(page).locator("summary").all():
                summary.click()
            expect_sound(page, locale, "aside")
        assert complaints == []
