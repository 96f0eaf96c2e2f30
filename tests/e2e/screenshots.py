"""Screenshots of the running thing for README and docs; started by infra/screenshots."""

from pathlib import Path

from playwright.sync_api import Page, expect

from orchestrator.host.home import Home
from tests.e2e.browser import browser
from tests.e2e.house import RunningHouse

TARGET = Path("docs/screenshots")
AWAY = (0, 0)
"""Where the mouse points at nothing that answers."""
QUESTIONS = ("What is the capital of France?", "Write a short thank-you note to a colleague.")


def chat(page: Page, path: Path, settings: str) -> None:
    """Two questions at temperature 0, so that the same picture comes out each time."""
    page.get_by_role("button", name=settings).click()
    page.get_by_role("slider").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Escape")
    for number, question in enumerate(QUESTIONS):
        page.get_by_role("textbox").first.fill(question)
        page.keyboard.press("Enter")
        page.locator('[data-testid="answer"][data-state="done"]').nth(number).wait_for(timeout=120_000)
    page.mouse.move(*AWAY)
    expect(page.get_by_role("tooltip")).to_have_count(0)
    page.screenshot(path=path)


def admin(page: Page, house: RunningHouse, name: str) -> None:
    """Every page of the admin's, once it shows what it is about."""
    (replica, *_) = house.api("/replicas")
    pages = {f"-{each}": each for each in ("deployments", "models", "nodes", "keys", "connect")}
    for title, path in (pages | {"": "overview", "-replicas": f"replicas?log={replica['id']}"}).items():
        page.goto(f"{house.url}/admin/{path}")
        page.locator("canvas, table, pre").first.wait_for()
        page.mouse.move(*AWAY)
        page.screenshot(path=TARGET / f"admin{title}-{name}.png")


def main() -> None:
    home = Home.of_environment()
    instance = home.instance()
    if instance is None:
        raise SystemExit(f"No Roundhouse runs from {home.root}. Start it with infra/up --detach.")
    house = RunningHouse(home.root, int(instance.url.rpartition(":")[2]), 0)
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, locale, dark, settings in (
        ("light", "en-US", False, "Settings of this chat"),
        ("dark", "en-US", True, "Settings of this chat"),
        ("zh", "zh-CN", False, "对话设置"),
    ):
        with browser(locale=locale, dark=dark, height=760) as context:
            page = context.new_page()
            page.goto(house.login_url())
            page.get_by_test_id("model-picker").wait_for()
            chat(page, TARGET / f"chat-{name}.png", settings)
            admin(page, house, name)


if __name__ == "__main__":
    main()
