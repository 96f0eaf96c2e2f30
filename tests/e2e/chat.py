"""What tests do on the chat page as a person does it."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.house import RunningHouse, until

MODEL = "simulated"
SLOW = "slow"
"""Takes its time between two tokens."""


def add_slow_model(house: RunningHouse) -> None:
    deploy(house, SLOW, inter_token_s=0.25)
    until(lambda: house.models().get(SLOW, {}).get("status") == "ready", 120, f"{SLOW} ready")


def deploy(house: RunningHouse, name: str, **simulation: float) -> None:
    put_deployment(house, name, simulation=simulation)


def put_deployment(house: RunningHouse, name: str, **body: Any) -> None:
    url = f"{house.url}/api/v1/deployments/{name}"
    house.http.put(url, headers=house.headers, json={"engine": "simulated", **body}).raise_for_status()


def undeploy(house: RunningHouse, name: str) -> None:
    house.http.delete(f"{house.url}/api/v1/deployments/{name}", headers=house.headers).raise_for_status()


def new_key(house: RunningHouse, name: str = "reader") -> str:
    answer = house.http.post(f"{house.url}/api/v1/keys", headers=house.headers, json={"name": name})
    return str(answer.json()["key"])


def log_in(page: Page, house: RunningHouse, key: str | None = None) -> Page:
    """As a person with a key, and so with chats, of their own."""
    page.goto(f"{house.url}/login")
    page.locator("input[type=password]").fill(key or new_key(house))
    page.keyboard.press("Enter")
    field(page).wait_for()
    expect(page.get_by_test_id("model-picker").locator("[data-state]")).to_be_visible()
    return choose(page, MODEL)


def field(page: Page) -> Locator:
    return page.locator("#message")


def choose(page: Page, model: str, picker: str = "model-picker") -> Page:
    page.get_by_test_id(picker).click()
    page.get_by_role("option", name=model).first.click()
    return page


def ask(page: Page, text: str, *, answers: int = 1) -> Locator:
    """Send a question and wait for its answers."""
    field(page).fill(text)
    page.keyboard.press("Enter")
    asked = page.get_by_role("list").get_by_text(text, exact=True)
    expect(asked.last).to_be_visible()
    return finished(page, answers)


def finished(page: Page, answers: int = 1) -> Locator:
    last = page.locator('[data-testid="answer"]')
    expect(page.locator('[data-testid="answer"][data-state="writing"]')).to_have_count(0)
    expect(page.get_by_test_id("answer-text").last).to_contain_text("simulated")
    return last.nth(last.count() - answers)


def requests_of(page: Page) -> Callable[[], list[dict[str, Any]]]:
    """What the page asks of models from now on."""
    page.evaluate("""() => {
        const [send, sent] = [window.fetch, (window.sent = [])];
        window.fetch = async (request, init) => {
            if (request.url?.includes("completions")) sent.push(await request.clone().json());
            return send(request, init);
        };
    }""")
    return lambda: list(page.evaluate("window.sent"))


def chat_row(page: Page, title: str) -> Locator:
    return page.get_by_role("navigation").get_by_role("listitem").filter(has_text=title)


def act_on(page: Page, title: str, action: str) -> None:
    row = chat_row(page, title)
    row.hover()
    row.get_by_role("button", name=f"Actions for {title}").click()
    page.get_by_role("menuitem", name=action).click()
