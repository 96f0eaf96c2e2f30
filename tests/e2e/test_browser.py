"""The pages as a person uses them: real Chromium, real router, real vLLM."""

import re
import time

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.e2e.browser import browser
from tests.e2e.conftest import SMOLLM2
from tests.e2e.house import RunningHouse

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

WATCH = """() => {
  window.seen = new Set()
  const note = () => document.querySelectorAll('[data-testid=answer-text]').forEach((one) => seen.add(one.textContent))
  new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true })
}"""
"""Notes each text that an answer has had."""


@pytest.fixture
def page(context: BrowserContext, real_house: RunningHouse) -> Page:
    """The chat page, logged in by a one-time link."""
    opened = context.new_page()
    opened.goto(real_house.login_url())
    opened.get_by_role("textbox", name="Message").wait_for()
    return opened


def test_chat_after_the_login_link_streams_a_real_answer(page: Page, real_house: RunningHouse) -> None:
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", note)
    assert "token" not in page.url
    expect(page.get_by_test_id("model-picker")).to_have_accessible_name(re.compile(f"{SMOLLM2} Ready"))
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_role("slider", name="Temperature").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Escape")
    page.evaluate(WATCH)
    page.get_by_role("textbox", name="Message").fill("What is the capital of France?")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("answer").last).to_have_attribute("data-state", "done", timeout=60_000)
    assert page.evaluate("window.seen.size") > 2, "the answer grew while it was written"
    expect(page.get_by_test_id("answer-text").last).to_contain_text("Paris")
    expect(page.get_by_test_id("answer-stats").last).to_contain_text("tokens/s")
    assert complaints == []


def test_login_link_used_a_second_time_says_so_and_offers_the_key(
    context: BrowserContext, real_house: RunningHouse
) -> None:
    link = real_house.login_url()
    first = context.new_page()
    first.goto(link)
    first.get_by_role("textbox", name="Message").wait_for()
    context.clear_cookies()
    second = context.new_page()
    second.goto(link)
    expect(second.get_by_role("alert")).to_contain_text("works once")
    second.get_by_label("API key", exact=True).fill(real_house.key)
    second.get_by_role("button", name="Log in").click()
    second.get_by_role("textbox", name="Message").wait_for()


def test_model_deployed_from_the_cli_appears_in_the_open_page_within_a_second(
    page: Page, real_house: RunningHouse
) -> None:
    page.evaluate("window.notReloaded = true")
    page.get_by_test_id("model-picker").click()
    expect(page.get_by_role("option", name=SMOLLM2)).to_be_visible()
    expect(page.get_by_role("option", name="second")).to_have_count(0)
    real_house.succeed("deploy", "second", "--engine", "simulated", "--no-wait")
    deployed_at = time.monotonic()
    page.get_by_role("option", name="second").first.wait_for(timeout=5000)
    assert time.monotonic() - deployed_at < 1.0
    expect(page.get_by_role("option", name="second").first).to_contain_text("Ready", timeout=60_000)
    assert page.evaluate("window.notReloaded")
    page.get_by_role("option", name="second").first.click()
    page.get_by_role("textbox", name="Message").fill("hello")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("answer-text").last).to_contain_text("simulated engine", timeout=20_000)
    real_house.succeed("undeploy", "second")


def test_admin_page_shows_models_deployments_replicas_nodes_and_keys(page: Page, real_house: RunningHouse) -> None:
    page.goto(f"{real_house.url}/admin")
    row = page.locator(f'tr[data-row="{SMOLLM2}"]')
    expect(row.locator('[data-state="ready"]')).to_be_visible()
    for noun, text in (
        ("models", "LlamaForCausalLM"),
        ("replicas", SMOLLM2),
        ("nodes", "127.0.0.1"),
        ("keys", "admin"),
    ):
        page.goto(f"{real_house.url}/admin/{noun}")
        expect(page.get_by_role("table")).to_contain_text(text)


def test_pages_in_chinese_speak_chinese(real_house: RunningHouse) -> None:
    with browser(locale="zh-CN") as context:
        page = context.new_page()
        page.goto(real_house.login_url())
        page.get_by_test_id("model-picker").wait_for()
        expect(page.locator("html")).to_have_attribute("lang", re.compile("zh"))
        assert re.search("[一-鿿]", page.inner_text("body"))


def test_page_of_a_user_key_shows_chat_and_no_admin(context: BrowserContext, real_house: RunningHouse) -> None:
    key = real_house.succeed("key", "create", "reader").strip()
    page = context.new_page()
    page.goto(f"{real_house.url}/login")
    page.get_by_label("API key", exact=True).fill(key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("textbox", name="Message").wait_for()
    assert page.get_by_role("link", name="Admin").count() == 0
    refused = page.request.get(f"{real_house.url}/api/v1/keys")
    assert refused.status == 403
    real_house.succeed("key", "revoke", "reader")
