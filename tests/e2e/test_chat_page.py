"""The chat as people use it: real Chromium, the real house, a simulated engine that says what it was asked."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.chat import (
    MODEL,
    SLOW,
    act_on,
    add_slow_model,
    ask,
    chat_row,
    choose,
    deploy,
    field,
    finished,
    log_in,
    requests_of,
    undeploy,
)
from tests.e2e.house import RunningHouse

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def house(simulated_house: RunningHouse) -> RunningHouse:
    add_slow_model(simulated_house)
    return simulated_house


@pytest.fixture
def page(context: BrowserContext, house: RunningHouse) -> Page:
    return log_in(context.new_page(), house)


def test_answer_streams_with_its_facts_and_a_reload_finds_the_chat(page: Page) -> None:
    ask(page, "Where is the Bodensee?")
    facts = page.get_by_test_id("answer-stats").last
    for fact in (MODEL, "tokens/s", "first token", "tokens", "revision"):
        expect(facts).to_contain_text(fact)
    page.reload()
    expect(page.get_by_test_id("answer-text")).to_contain_text("Where is the Bodensee?")
    expect(chat_row(page, "Where is the Bodensee?").get_by_role("button").first).to_have_attribute(
        "aria-current", "page"
    )
    assert page.evaluate("Object.keys(localStorage).filter((key) => !/theme|language/.test(key))") == []


def test_stop_keeps_what_came_and_continue_goes_on(page: Page) -> None:
    choose(page, SLOW)
    field(page).fill("Take your time")
    page.keyboard.press("Enter")
    text = page.get_by_test_id("answer-text")
    expect(text).to_contain_text("You asked")
    # Live, while it is written.
    expect(page.get_by_test_id("answer-stats")).to_contain_text("tokens/s")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_test_id("answer")).to_have_attribute("data-state", "done")
    expect(page.get_by_test_id("answer-stats")).to_contain_text("Stopped.")
    said = text.inner_text()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_test_id("answer")).to_have_attribute("data-state", "writing")
    expect(text).to_contain_text("not by a model.", timeout=30_000)
    assert text.inner_text().startswith(said)
    expect(page.get_by_test_id("answer")).to_have_count(1)


def test_edit_and_regenerate_make_branches_that_can_be_switched(page: Page) -> None:
    ask(page, "First question")
    page.get_by_role("button", name="Regenerate").click()
    finished(page)
    branch = page.get_by_test_id("branch")
    expect(branch).to_have_text("2 of 2")
    page.get_by_role("article", name="You").hover()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Edit the question").fill("Second question")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("answer-text")).to_contain_text("Second question")
    finished(page)
    expect(branch).to_have_text("2 of 2")
    page.get_by_role("button", name="Previous version").click()
    expect(page.get_by_test_id("answer-text")).to_contain_text("First question")
    expect(branch).to_have_text(["1 of 2", "2 of 2"])
    chat_row(page, "First question").wait_for()
    page.wait_for_function("async () => (await (await fetch('/api/v1/chats')).json())[0].version >= 3")
    page.reload()
    expect(page.get_by_test_id("branch")).to_have_text(["1 of 2", "2 of 2"])


def test_up_arrow_edits_the_last_question_and_escape_leaves_it(page: Page) -> None:
    ask(page, "Only with keys")
    field(page).press("ArrowUp")
    editor = page.get_by_role("textbox", name="Edit the question")
    expect(editor).to_be_focused()
    page.keyboard.press("Escape")
    expect(editor).to_have_count(0)
    page.keyboard.press("Control+K")
    expect(page.get_by_role("searchbox", name="Search chats")).to_be_focused()


def test_rename_pin_folder_search_and_delete(page: Page) -> None:
    ask(page, "Recipe with saffron")
    page.get_by_role("button", name="New chat").click()
    ask(page, "Timetable to Bern")
    act_on(page, "Recipe with saffron", "Rename")
    page.get_by_role("textbox", name="Title of the chat").fill("Cooking")
    page.keyboard.press("Enter")
    act_on(page, "Cooking", "Put into a folder")
    page.get_by_role("textbox", name="Folder").fill("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Home").get_by_role("listitem")).to_contain_text("Cooking")
    act_on(page, "Timetable to Bern", "Pin")
    expect(page.get_by_role("region", name="Pinned").get_by_role("listitem")).to_contain_text("Timetable")
    page.get_by_role("searchbox").fill("SAFFRON")
    found = page.get_by_role("navigation").get_by_role("listitem")
    expect(found).to_have_count(1)
    # Its title is another now: the place in the text shows.
    expect(found).to_contain_text("Recipe with saffron")
    page.get_by_role("searchbox").fill("")
    act_on(page, "Cooking", "Delete")
    page.get_by_role("group", name="Delete this chat?").get_by_role("button", name="Delete").click()
    expect(chat_row(page, "Cooking")).to_have_count(0)
    page.reload()
    expect(chat_row(page, "Timetable")).to_be_visible()
    expect(chat_row(page, "Cooking")).to_have_count(0)


def test_export_is_openai_messages_and_import_brings_them_back(page: Page, tmp_path: Path) -> None:
    ask(page, "Keep this")
    for name, suffix in (("Export as JSON", ".json"), ("Export as Markdown", ".md")):
        with page.expect_download() as download:
            act_on(page, "Keep this", name)
        assert download.value.suggested_filename == f"Keep-this{suffix}"
        download.value.save_as(tmp_path / f"chat{suffix}")
    exported = json.loads((tmp_path / "chat.json").read_text())
    assert [each["role"] for each in exported["messages"]] == ["user", "assistant"]
    assert (tmp_path / "chat.md").read_text().startswith("# Keep this\n\n## User\n\nKeep this\n\n## Assistant")
    exported["title"] = "Brought back"
    (tmp_path / "chat.json").write_text(json.dumps(exported))
    page.locator('input[type="file"]').first.set_input_files(tmp_path / "chat.json")
    expect(page.get_by_role("heading", level=1)).to_have_text("Brought back")
    expect(page.get_by_test_id("answer-text")).to_contain_text("You asked: Keep this")
    (tmp_path / "other.json").write_text("nonsense")
    page.locator('input[type="file"]').first.set_input_files(tmp_path / "other.json")
    expect(page.get_by_role("navigation").get_by_role("alert")).to_contain_text("not a JSON file of chats")


def test_template_is_filled_in_and_own_ones_are_kept_exported_and_imported(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Prompt templates").first.click()
    panel = page.get_by_role("complementary")
    panel.get_by_text("Study", exact=True).first.click()
    panel.get_by_role("button", name="Explain step by step").click()
    panel.get_by_role("textbox", name="concept").fill("entropy")
    panel.get_by_role("textbox", name="known").fill("school maths")
    panel.get_by_role("button", name="Put into the message").click()
    expect(field(page)).to_have_value(re.compile("Explain entropy to someone who knows school maths"))
    expect(field(page)).to_be_focused()

    page.get_by_role("button", name="Prompt templates").last.click()
    panel.get_by_role("button", name="New template").click()
    panel.get_by_label("Title").fill("Greeting")
    panel.get_by_label("Text").fill("Say hello to {{who}}.")
    panel.get_by_role("button", name="Save").click()
    panel.get_by_text("Own", exact=True).first.click()
    expect(panel.get_by_role("button", name="Greeting")).to_be_visible()
    with page.expect_download() as download:
        panel.get_by_role("button", name="Export own").click()
    download.value.save_as(tmp_path / "templates.json")
    assert json.loads((tmp_path / "templates.json").read_text()) == [
        {"title": "Greeting", "category": "writing", "text": "Say hello to {{who}}."}
    ]
    panel.locator('input[type="file"]').set_input_files(tmp_path / "templates.json")
    expect(panel.get_by_role("button", name="Greeting")).to_have_count(2)


def test_two_models_answer_the_same_prompt_side_by_side(page: Page) -> None:
    page.get_by_role("button", name="Ask a second model beside it").click()
    expect(page.get_by_test_id("other-model-picker")).to_contain_text(SLOW)
    field(page).fill("Compare")
    page.keyboard.press("Enter")
    answers = page.get_by_test_id("answer")
    expect(answers).to_have_count(2)
    expect(page.locator('[data-testid="answer"][data-state="done"]')).to_have_count(2, timeout=40_000)
    boxes = [answers.nth(number).bounding_box() for number in range(2)]
    left, right = (box for box in boxes if box is not None)
    assert abs(left["y"] - right["y"]) < 2
    assert right["x"] >= left["x"] + left["width"]
    expect(page.get_by_test_id("answer-stats").nth(1)).to_contain_text(SLOW)
    page.get_by_role("button", name="Go on with this answer").click()
    expect(page.get_by_role("button", name="The chat goes on with this answer")).to_have_count(1)
    expect(answers.nth(1)).to_contain_text("The chat goes on with this answer")


def test_settings_are_sent_and_kept_with_their_chat(page: Page) -> None:
    requests = requests_of(page)
    ask(page, "Before")
    page.get_by_role("button", name="Settings of this chat").click()
    panel = page.get_by_role("complementary")
    panel.get_by_label("System prompt").fill("Be brief.")
    panel.get_by_role("slider", name="Temperature").focus()
    page.keyboard.press("Home")
    panel.get_by_role("textbox", name="Longest answer").fill("9")
    panel.get_by_role("textbox", name="Seed").fill("7")
    panel.get_by_role("textbox", name="Stop at").fill("END")
    page.keyboard.press("Enter")
    panel.get_by_role("switch", name="Stream the answer").uncheck()
    field(page).fill("After")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("answer-stats").last).to_contain_text("cut off at the token limit")
    sent = requests()
    wanted = {"temperature": 0, "max_tokens": 9, "seed": 7, "stop": ["END"], "stream": False}
    assert {name: sent[-1][name] for name in wanted} == wanted
    assert sent[-1]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "temperature" not in sent[0]
    page.wait_for_function("async () => (await (await fetch('/api/v1/chats')).json())[0].version >= 4")
    page.reload()
    page.get_by_role("button", name="Settings of this chat").click()
    expect(panel.get_by_label("System prompt")).to_have_value("Be brief.")


def test_older_turns_fold_where_the_context_is_full_and_the_page_says_so(page: Page) -> None:
    requests = requests_of(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_role("textbox", name="Longest context").fill("120")
    page.get_by_role("textbox", name="Longest answer").fill("30")
    for number in range(3):
        ask(page, f"Question {number} " + "of many words " * 4)
    expect(page.get_by_text("The context is full")).to_be_visible()
    sent = requests()
    assert len(sent[-1]["messages"]) < 5
    assert sent[-1]["messages"][0]["role"] == "user"
    expect(page.get_by_test_id("context-meter")).to_contain_text("of 120 tokens")


def test_second_tab_keeps_both_branches_of_the_same_chat(page: Page, context: BrowserContext) -> None:
    ask(page, "Together")
    page.wait_for_function("async () => (await (await fetch('/api/v1/chats')).json())[0].version >= 2")
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_test_id("answer-text")).to_contain_text("Together")
    for each in (page, other):
        each.get_by_role("button", name="Regenerate").click()
        finished(each)
    # Both wrote; whoever came second took over what the first had made.
    kept = "async () => { const id = new URLSearchParams(location.search).get('chat');"
    kept += " return (await (await fetch(`/api/v1/chats/${id}`)).json()).text.messages.length === 4 }"
    page.wait_for_function(kept)


def test_question_to_a_model_that_starts_shows_the_wait_and_is_answered(page: Page, house: RunningHouse) -> None:
    """The last test here: the slow model makes room for it."""
    undeploy(house, SLOW)
    deploy(house, "dozy", start_s=8)
    choose(page, "dozy")
    field(page).fill("Are you there?")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("waiting")).to_contain_text("dozy is starting")
    expect(page.get_by_test_id("waiting")).to_contain_text("so far")
    expect(page.get_by_test_id("answer-text")).to_contain_text("Are you there?", timeout=90_000)
    undeploy(house, "dozy")
    expect(page.get_by_role("main")).to_contain_text("“dozy” is not deployed any more")
