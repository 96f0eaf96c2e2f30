"""Screenshots of the running thing for README and docs; started by infra/screenshots."""

from pathlib import Path

from playwright.sync_api import Page

from orchestrator.host.home import Home
from tests.e2e.browser import browser
from tests.e2e.house import RunningHouse

TARGET = Path("docs/screenshots")


def chat(page: Page, url: str, path: Path, question: str) -> None:
    page.goto(url)
    page.get_by_test_id("model-picker").wait_for()
    page.get_by_role("textbox").first.fill(question)
    page.keyboard.press("Enter")
    page.locator('[data-testid="answer"][data-state="done"]').first.wait_for(timeout=120_000)
    page.mouse.move(0, 0)
    page.screenshot(path=path)


def main() -> None:
    home = Home.of_environment()
    instance = home.instance()
    if instance is None:
        raise SystemExit(f"No Roundhouse runs from {home.root}. Start it with infra/up --detach.")
    house = RunningHouse(home.root, int(instance.url.rpartition(":")[2]), 0)
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, locale, dark, question in (
        ("light", "en-US", False, "What is the capital of France?"),
        ("dark", "en-US", True, "What is the capital of France?"),
        ("zh", "zh-CN", False, "What is the capital of France?"),
    ):
        with browser(locale=locale, dark=dark, height=760) as context:
            page = context.new_page()
            page.goto(house.login_url())
            page.get_by_test_id("model-picker").wait_for()
            chat(page, house.url, TARGET / f"chat-{name}.png", question)
            page.goto(f"{house.url}/admin")
            page.get_by_role("table").first.wait_for()
            page.screenshot(path=TARGET / f"admin-{name}.png")


if __name__ == "__main__":
    main()
