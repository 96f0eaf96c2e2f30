"""Ways through the chat that a person goes, and what must hold on each: real Chromium, the real house."""

import base64
import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.attacks import ATTACKS, EVIL_NAME, expect_inert, note_foreign_requests, poisoned
from tests.e2e.browser import browser
from tests.e2e.chat import (
    MODEL,
    ask,
    chat_row,
    choose,
    deploy,
    field,
    log_in,
    new_key,
    put_deployment,
    requests_of,
    undeploy,
)
from tests.e2e.house import RunningHouse, until
from tests.e2e.page_checks import SCREENS, expect_fits, expect_sound, note_complaints

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

FIRST_LOAD_BYTES = 300_000
RED_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
RICH = """| city | people |
| --- | ---: |
| Bern | 134000 |

```python
print("hello")  # a comment
```

Mass and energy: $E = mc^2$, and **bold**."""
KINDS = {
    "en-US": ("Settings of this chat", "Prompt templates", "Polish a text", "Show chats"),
    "zh-CN": ("对话设置", "提示词模板", "润色文章", "展开对话列表"),
}


@pytest.fixture
def page(context: BrowserContext, simulated_house: RunningHouse) -> Page:
    return log_in(context.new_page(), simulated_house)


def say(page: Page, *pieces: dict[str, str]) -> None:
    """Have the next answers stream these pieces."""
    chunks = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(content_type="text/event-stream", body=body))


def answered(page: Page, text: str = "Well?") -> None:
    field(page).fill(text)
    page.keyboard.press("Enter")
    expect(page.locator('[data-testid="answer"][data-state="done"]')).not_to_have_count(0, timeout=60_000)


def test_answer_shows_tables_coloured_code_and_formulas_and_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    say(page, {"content": RICH})
    answered(page)
    text = page.get_by_test_id("answer-text")
    expect(text.get_by_role("table").get_by_role("cell", name="134000")).to_be_visible()
    expect(text.locator("code .hljs-string")).to_have_text('"hello"')
    expect(text.locator("math")).to_have_count(1)
    text.get_by_role("button", name="Copy code").click()
    assert page.evaluate("navigator.clipboard.readText()") == 'print("hello")  # a comment'
    page.get_by_role("button", name="Copy", exact=True).last.click()
    assert page.evaluate("navigator.clipboard.readText()") == RICH


@pytest.mark.parametrize("way", ["field", "tags"])
def test_thought_is_folded_once_the_answer_begins(page: Page, way: str) -> None:
    thought: tuple[dict[str, str], ...] = ({"reasoning": "First I think."},)
    if way == "tags":
        thought = ({"content": "<think>First I "}, {"content": "think.</think>"})
    say(page, *thought, {"content": "Then I speak."})
    answered(page)
    expect(page.get_by_test_id("answer-text")).to_have_text("Then I speak.")
    folded = page.get_by_test_id("thought")
    expect(folded).to_be_hidden()
    page.get_by_text("Thoughts").click()
    expect(folded).to_have_text("First I think.")


def test_picture_goes_along_where_the_model_takes_it(page: Page, tmp_path: Path) -> None:
    def sees(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for each in body["data"]:
            each["images"] = True
        route.fulfill(response=answer, json=body)

    expect(page.get_by_role("button", name="Add a picture")).to_have_count(0)
    page.route("**/api/v1/events", lambda route: route.abort())
    page.route("**/v1/models", sees)
    page.reload()
    requests = requests_of(page)
    (tmp_path / "red.png").write_bytes(RED_PIXEL)
    page.locator('main input[type="file"]').set_input_files(tmp_path / "red.png")
    expect(page.get_by_role("img", name="Picture 1")).to_be_visible()
    say(page, {"content": "Red."})
    answered(page, "Which colour?")
    (message,) = requests()[-1]["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url"]
    assert message["content"][1]["image_url"]["url"].startswith("data:image/")


def test_chats_of_one_key_are_found_on_another_device_and_not_under_another_key(simulated_house: RunningHouse) -> None:
    key = new_key(simulated_house, "mine")
    with browser() as context:
        ask(log_in(context.new_page(), simulated_house, key), "Only for me")
    with browser() as context:
        page = log_in(context.new_page(), simulated_house, key)
        chat_row(page, "Only for me").get_by_role("button").first.click()
        expect(page.get_by_test_id("answer-text")).to_contain_text("Only for me")
        mine = page.url
    with browser() as context:
        page = log_in(context.new_page(), simulated_house, new_key(simulated_house, "theirs"))
        expect(page.get_by_role("searchbox")).to_be_visible()
        expect(chat_row(page, "Only for me")).to_have_count(0)
        page.goto(mine)
        expect(field(page)).to_be_visible()
        expect(page.get_by_text("Only for me")).to_have_count(0)


def test_model_appears_changes_and_disappears_in_the_open_page_within_a_second(
    page: Page, simulated_house: RunningHouse
) -> None:
    def within_a_second(act: Callable[[], None], seen: Callable[[], None]) -> None:
        act()
        at = time.monotonic()
        seen()
        assert time.monotonic() - at < 1.0

    page.get_by_test_id("model-picker").click()
    option = page.get_by_role("option", name="guest")
    expect(page.get_by_role("option", name=MODEL)).to_be_visible()
    within_a_second(lambda: deploy(simulated_house, "guest", start_s=3), option.wait_for)
    expect(option).to_contain_text("Starting")
    expect(option).to_contain_text("Ready", timeout=60_000)
    within_a_second(lambda: undeploy(simulated_house, "guest"), lambda: option.wait_for(state="detached"))


def test_question_to_a_sleeping_model_shows_the_wait_and_is_answered(page: Page, simulated_house: RunningHouse) -> None:
    scaling = {"min_replicas": 0, "max_replicas": 1, "idle_timeout_s": 1}
    put_deployment(simulated_house, "napper", scaling=scaling, simulation={"start_s": 5})
    until(lambda: simulated_house.models().get("napper", {}).get("status") == "asleep", 120, "falling asleep")
    page.reload()
    choose(page, "napper")
    expect(page.get_by_text("Your first message wakes it.")).to_be_visible()
    field(page).fill("Good morning")
    page.keyboard.press("Enter")
    waiting = page.get_by_test_id("waiting")
    expect(waiting).to_contain_text(re.compile("napper (wakes up|is starting)"))
    expect(waiting).to_contain_text("so far")
    expect(page.get_by_test_id("answer-text")).to_contain_text("Good morning", timeout=90_000)
    undeploy(simulated_house, "napper")


def test_hurtful_words_of_a_model_a_chat_and_templates_are_inert(page: Page, tmp_path: Path) -> None:
    foreign = note_foreign_requests(page)
    for part in ("content", "reasoning"):
        say(page, *({part: f"{attack}\n\n"} for attack in ATTACKS), {"content": "The end."})
        answered(page)
        finished_text = page.get_by_test_id("answer-text").last
        expect(finished_text).to_contain_text("The end.")
        expect_inert(page)
        page.unroute("**/v1/chat/completions")
    for attack in ATTACKS:
        say(page, {"content": attack})
        page.get_by_role("button", name="New chat").first.click()
        answered(page, attack)
        expect_inert(page)
    everything = "\n\n".join(ATTACKS)
    chat = {"title": EVIL_NAME, "messages": [{"role": r, "content": everything} for r in ("user", "assistant")]}
    (tmp_path / "chat.json").write_text(json.dumps(chat))
    page.locator('input[type="file"]').first.set_input_files(tmp_path / "chat.json")
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL_NAME)
    expect(page.get_by_test_id("answer-text")).to_contain_text("window.hurt = 1")
    expect_inert(page)
    templates = [{"title": attack, "category": "office", "text": f"{attack} {{{{<b>}}}}"} for attack in ATTACKS]
    (tmp_path / "templates.json").write_text(json.dumps(templates))
    page.get_by_role("button", name="Prompt templates").last.click()
    panel = page.get_by_role("complementary")
    panel.locator('input[type="file"]').set_input_files(tmp_path / "templates.json")
    panel.get_by_role("button", name=ATTACKS[0]).click()
    expect(panel).to_contain_text("window.hurt")
    expect_inert(page)
    assert foreign == []


def test_hurtful_names_of_models_and_words_of_the_server_are_inert(page: Page) -> None:
    def poison(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=poisoned(answer.json(), frozenset({"id", "detail", "revision"})))

    page.route("**/api/v1/events", lambda route: route.abort())
    page.route("**/v1/models", poison)
    refusal = {"error": {"message": EVIL_NAME, "code": EVIL_NAME, "type": EVIL_NAME, "param": None}}
    page.route("**/v1/chat/completions", lambda route: route.fulfill(status=422, json=refusal))
    page.reload()
    expect(page.get_by_test_id("model-picker")).to_contain_text(EVIL_NAME)
    field(page).fill("Hello")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_role("alert")).to_contain_text(EVIL_NAME)
    expect_inert(page)


def test_first_load_is_small(page: Page, simulated_house: RunningHouse) -> None:
    page.goto(simulated_house.url)
    field(page).wait_for()
    page.wait_for_load_state("networkidle")
    files = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    names = {re.sub(r".*/assets/", "", each) for each in files if re.search(r"/assets/.*\.(js|css)$", each)}
    folder = Path("admin_ui/dist/assets")
    sizes = {name: len(gzip.compress((folder / name).read_bytes())) for name in names}
    assert sum(sizes.values()) < FIRST_LOAD_BYTES, sizes
    assert not [name for name in names if re.match("MathProse|Highlighted|library|TemplatesPanel", name)]


@pytest.mark.parametrize(("locale", "width", "dark"), SCREENS)
def test_every_part_of_the_chat_is_sound_in_each_language_and_width(
    simulated_house: RunningHouse, locale: str, width: int, dark: bool
) -> None:
    settings, templates, template, show_chats = KINDS[locale]
    with browser(width=width, locale=locale, dark=dark) as context:
        page = context.new_page()
        complaints = note_complaints(page)
        page.goto(f"{simulated_house.url}/login")
        page.locator("input[type=password]").wait_for()
        expect_sound(page, locale)
        log_in(page, simulated_house)
        expect_sound(page, locale)
        ask(page, f"{RICH}\n\n{'w' * 120}")
        expect_sound(page, locale)
        page.get_by_role("button", name=settings).click()
        page.get_by_role("complementary").wait_for()
        expect_sound(page, locale, "aside")
        page.keyboard.press("Escape")
        page.get_by_role("button", name=templates).last.click()
        page.get_by_role("button", name=template).click()
        expect_sound(page, locale, "aside")
        page.keyboard.press("Escape")
        if width == 390:
            page.get_by_role("button", name=show_chats).click()
        expect(page.get_by_role("navigation").get_by_role("listitem")).to_have_count(1)
        expect_fits(page, "nav")
        assert [each for each in complaints if "401" not in each] == []
