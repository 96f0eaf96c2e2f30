"""What tests do on the admin pages as an admin does it."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.e2e.house import RunningHouse

SETTLED_MS = 60_000
"""Replicas start and stop within it."""


def log_in(page: Page, house: RunningHouse) -> Page:
    """By the link that `roundhouse up` shows."""
    page.goto(house.login_url())
    page.get_by_test_id("model-picker").wait_for()
    return page


def go(page: Page, house: RunningHouse, path: str) -> Page:
    """To a page that has loaded what it shows."""
    page.goto(f"{house.url}/admin/{path}")
    page.get_by_role("heading", level=1).wait_for()
    expect(page.get_by_role("status").filter(has_text=re.compile("Loading|加载|Estimating|估算"))).to_have_count(0)
    return page


def row(page: Page, table: str, text: str) -> Locator:
    """That of a thing with this text, and not the line below it in which an action is confirmed."""
    return page.get_by_role("table", name=table).locator("tr[data-row]").filter(has_text=text)


def confirm(page: Page, action: str) -> None:
    page.get_by_role("group").get_by_role("button", name=action).click()


def panel_of(page: Page) -> Locator:
    return page.get_by_role("complementary")
