"""Screenshots of the running thing for README and docs; started by infra/screenshots."""

from pathlib import Path

from playwright.sync_api import Page

from orchestrator.host.home import Home
from tests.e2e.browser import browser
from tests.e2e.house import RunningHouse

TARGET = Path("docs/screenshots")
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
    page.mouse.move(640, 500)
    page.screenshot(path=path)


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
            page.goto(f"{house.url}/admin")
            page.get_by_role("table").first.wait_for()
            page.screenshot(path=TARGET / f"admin-{name}.png")


if __name__ == "__main__":
    main()
