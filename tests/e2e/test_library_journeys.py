"""A model found in a hub and imported, and its revisions compared: real Chromium, the real house, a hub on loopback."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.admin import SETTLED_MS, go, log_in, panel_of, row
from tests.e2e.attacks import EVIL_NAME, expect_inert, note_foreign_requests
from tests.e2e.browser import browser
from tests.e2e.house import RunningHouse
from tests.e2e.page_checks import SCREENS, expect_sound, note_complaints
from tests.honest_models import LLAMA, write_json, write_model
from tests.integration.hub_server import Hub, Listed, running_hub

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

TINY, COMPARED = "tiny", "compared"
CATALOGUE = (
    Listed("owner/tiny", parameters=12_000, downloads=1_200_000, likes=321),
    Listed("owner/tiny-gated", gated=True, licence=EVIL_NAME),
    Listed("owner/tiny-pictures", task="text-to-image"),
    *(Listed(f"owner/tiny-{number}-with-a-rather-long-name-as-hubs-have-them") for number in range(9)),
)


SCROLLED_SIDEWAYS = """() => [...document.querySelectorAll("h3 ~ div:has(> table)")]
    .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.innerText)"""
"""Tables of the comparison that are wider than their place."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = write_model(tmp_path_factory.mktemp("hub") / TINY)
    with running_hub({each.name: each.read_bytes() for each in folder.iterdir()}, catalogue=CATALOGUE) as running:
        yield running


@pytest.fixture(scope="module")
def house(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """With a model of two revisions that differ in all that can differ."""
    home = tmp_path_factory.mktemp("library")
    running = RunningHouse.on_free_ports(home / "house")
    with pytest.MonkeyPatch.context() as patched:
        for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):
            patched.setenv(name, hub.url)
        patched.setenv("HF_HUB_DISABLE_XET", "1")
        patched.setenv("HF_HOME", str(home / "hf"))
        patched.setenv("MODELSCOPE_CACHE", str(home / "ms"))
        running.up("--engine", "simulated")
        folder = write_model(home / COMPARED)
        (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}\n")
        running.succeed("model", "push", str(folder), "--notes", "as it was")
        write_json(folder / "config.json", LLAMA | {"rope_theta": 50_000.0, "comment": EVIL_NAME})
        (folder / "chat_template.jinja").write_text("{# " + EVIL_NAME + " #}\n{{ messages[-1]['content'] }}\n")
        settings = folder / "tokenizer_config.json"
        settings.write_text(settings.read_text().replace("| trim", "| trim | upper"))
        (folder / "NOTICE").write_text("Changed.\n")
        running.succeed("model", "push", str(folder), "--notes", "longer contexts")
        yield running
        running.command("down")


@pytest.fixture
def page(context: BrowserContext, house: RunningHouse) -> Page:
    return log_in(context.new_page(), house)


def digests(house: RunningHouse, model: str) -> list[str]:
    return [each["digest"] for each in house.api(f"/models/{model}")["revisions"]]


def search(page: Page, words: str) -> Locator:
    """By the keyboard, in the import panel; the place of the search."""
    place = panel_of(page).get_by_role("search")
    place.get_by_role("searchbox").fill(words)
    place.get_by_role("searchbox").press("Enter")
    return place


def test_model_of_a_hub_is_searched_chosen_and_imported(page: Page, house: RunningHouse, hub: Hub) -> None:
    hub.searched.clear()
    go(page, house, "models")
    page.get_by_role("button", name="Import").first.click()
    panel = panel_of(page)
    panel.get_by_role("searchbox").press_sequentially("tin")
    assert hub.searched == [], "typing is not asking"
    hub.answers.clear()
    place = search(page, "tiny")
    expect(place.get_by_role("status")).to_contain_text("Asking Hugging Face")
    hub.answers.set()
    found = place.get_by_role("listitem")
    expect(found).to_have_count(len(CATALOGUE) - 1)
    for words in ("owner/tiny", "text-generation", "12K parameters", "apache-2.0", "1.2M downloads", "321 likes"):
        expect(found.first).to_contain_text(words)
    expect(found.filter(has_text="Gated")).to_have_count(1)
    expect(found.filter(has_text="In the library")).to_have_count(0)
    found.first.get_by_role("button").press("Enter")
    expect(found.first.get_by_role("button")).to_have_attribute("aria-pressed", "true")
    expect(panel.get_by_label("Source")).to_have_value("hf:owner/tiny")
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(f'tr[data-row="{TINY}"] [data-state="ready"]')).to_be_visible(timeout=SETTLED_MS)
    page.get_by_role("button", name="Import").first.click()
    search(page, "tiny")
    expect(found.first).to_contain_text("In the library as tiny")


def test_search_that_finds_nothing_or_fails_says_what_to_do(page: Page, house: RunningHouse, hub: Hub) -> None:
    go(page, house, "models?import")
    place = search(page, "nothing of that name")
    expect(place.get_by_role("status")).to_contain_text("Try fewer words, or the other hub")
    place.get_by_text("ModelScope").click()
    hub.search_status = 500
    try:
        search(page, "tiny")
        expect(place.get_by_role("alert")).to_contain_text("ModelScope cannot be reached")
        expect(place.get_by_role("alert")).to_contain_text("upload the weights or import a folder")
    finally:
        hub.search_status = 200
    place.get_by_role("button", name="Try again").click()
    expect(place.get_by_role("listitem").first).to_contain_text("owner/tiny")


def test_revisions_are_compared_by_the_keyboard_and_with_one_another(page: Page, house: RunningHouse) -> None:
    foreign = note_foreign_requests(page)
    first, second = digests(house, COMPARED)
    go(page, house, f"models/{COMPARED}")
    compare = row(page, "Revisions", "longer contexts").get_by_role("button", name="Compare")
    compare.press("Enter")
    changed = page.get_by_role("region", name="What changed in")
    expect(changed).to_contain_text(second.removeprefix("sha256:")[:12])
    theta = (
        changed.get_by_role("table", name="config.json", exact=True).get_by_role("row").filter(has_text="rope_theta")
    )
    expect(theta).to_contain_text("10000.0")
    expect(theta).to_contain_text("50000.0")
    template = changed.get_by_role("region", name="chat_template.jinja")
    expect(template).to_contain_text("-{{ messages[0]['content'] }}")
    expect(template).to_contain_text("+{{ messages[-1]['content'] }}")
    expect(changed.get_by_role("table", name="Other files")).to_contain_text("NOTICE")
    expect(changed).to_contain_text("The weights are the same.")
    expect(changed.get_by_role("table", name="tokenizer_config.json")).to_contain_text("| trim | upper")
    expect(changed).to_contain_text(EVIL_NAME)
    expect_inert(page)
    page.keyboard.press("Escape")
    expect(changed).to_have_count(0)
    expect(compare).to_be_focused()

    row(page, "Revisions", "as it was").get_by_role("button", name="Compare").click()
    expect(theta.get_by_role("cell").nth(1)).to_contain_text("50000.0")
    expect(page).to_have_url(re.compile(f"compare={re.escape(first).replace(':', '(:|%3A)')}"))
    page.go_back()
    expect(changed).to_have_count(0)
    assert foreign == []
    told = json.loads(house.succeed("model", "diff", COMPARED, "--json"))
    assert (told["before"], told["after"], told["files"][0]["path"]) == (first, second, "NOTICE")


@pytest.mark.parametrize(("locale", "width", "dark"), [each for each in SCREENS if each[1] != 1920])
def test_search_and_comparison_are_sound_in_each_language_and_width(
    house: RunningHouse, locale: str, width: int, dark: bool
) -> None:
    with browser(width=width, locale=locale, dark=dark) as context:
        page = log_in(context.new_page(), house)
        complaints = note_complaints(page)
        go(page, house, f"models/{COMPARED}?compare={digests(house, COMPARED)[-1]}")
        page.get_by_role("table", name="tokenizer_config.json").wait_for()
        assert not page.evaluate(SCROLLED_SIDEWAYS)
        expect_sound(page, locale)
        go(page, house, "models?import")
        place = search(page, "tiny")
        expect(place.get_by_role("listitem")).to_have_count(len(CATALOGUE) - 1)
        place.get_by_role("listitem").first.get_by_role("button").click()
        expect(place).to_contain_text(EVIL_NAME)
        expect_inert(page)
        expect_sound(page, locale, "aside")
        expect(search(page, "nothing of that name").get_by_role("listitem")).to_have_count(0)
        expect_sound(page, locale, "aside")
        assert complaints == []


def test_search_by_command_names_what_to_import(house: RunningHouse) -> None:
    found = json.loads(house.succeed("model", "search", "tiny", "gated", "--hub", "modelscope", "--json"))
    assert [(each["source"], each["gated"]) for each in found] == [("modelscope:owner/tiny-gated", True)]
