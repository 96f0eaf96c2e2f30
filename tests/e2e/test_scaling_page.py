"""How many replicas, as an admin sees and sets it: real Chromium, the real house, a simulated engine that sleeps."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.accessibility import expect_accessible
from tests.e2e.browser import browser
from tests.e2e.house import RunningHouse, until

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

NAME = "napping"
SETTLED_MS = 60_000


@pytest.fixture(scope="module")
def house(simulated_house: RunningHouse) -> RunningHouse:
    simulated_house.succeed("scale", "simulated", "0")  # the machine may have two CPUs alone
    return simulated_house


@pytest.fixture
def page(house: RunningHouse) -> Iterator[Page]:
    """The deployments, logged in by a one-time link."""
    with browser() as context:
        yield open_deployments(context.new_page(), house)


@pytest.fixture
def sleeping(house: RunningHouse) -> RunningHouse:
    """With a deployment that woke once and sleeps again."""
    body = {
        "engine": "simulated",
        "scaling": {
            "min_replicas": 0,
            "max_replicas": 2,
            "idle_timeout_s": 2,
            "schedules": [{"cron": "0 8 1 1 *", "duration_s": 60, "min_replicas": 2, "time_zone": "Asia/Shanghai"}],
        },
    }
    url = f"{house.url}/api/v1/deployments/{NAME}"
    house.http.put(url, headers=house.headers, json=body).raise_for_status()
    if not any(each["before"] == 0 for each in decisions(house)):
        until(lambda: house.models().get(NAME, {}).get("status") == "asleep", 120, "falling asleep")
        assert house.chat(NAME, max_tokens=4).status_code == 200
    until(lambda: house.models()[NAME]["status"] == "asleep", 120, "falling asleep again")
    return house


def decisions(house: RunningHouse) -> list[dict[str, int]]:
    return list(house.api(f"/deployments/{NAME}/scaling")["records"])


def open_deployments(page: Page, house: RunningHouse, panel: str = "") -> Page:
    page.goto(house.login_url())
    page.get_by_test_id("model-picker").wait_for()
    page.goto(f"{house.url}/admin/deployments{panel}")
    page.get_by_role("table").wait_for()
    return page


def fill_in(panel: Locator) -> None:
    """The deploy form, for a model that sleeps after three seconds; one schedule is tried and taken out again."""
    panel.get_by_text("Simulated", exact=True).click()
    panel.get_by_label("Public name").fill(NAME)
    panel.get_by_text("Follows the load").click()
    panel.get_by_label("At least").fill("3")
    panel.get_by_label("At most").fill("2")
    panel.get_by_role("button", name="Deploy", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("not above the most")
    panel.get_by_label("At least").fill("0")
    panel.get_by_label("Sleeps after").fill("0.05")
    panel.get_by_role("button", name="Add a schedule").click()
    schedule = panel.get_by_role("group", name="Schedule 1")
    expect(schedule).to_contain_text("At 08:00, Monday through Friday")
    schedule.get_by_label("Begins").fill("at eight")
    expect(schedule.get_by_role("alert")).to_contain_text("Five fields")
    schedule.get_by_role("button", name="Remove schedule 1").click()


def test_model_deployed_to_follow_the_load_sleeps_wakes_and_shows_why(page: Page, house: RunningHouse) -> None:
    page.get_by_role("button", name="Deploy", exact=True).click()
    panel = page.get_by_role("complementary")
    fill_in(panel)
    panel.get_by_role("button", name="Deploy", exact=True).click()
    row = page.locator(f'tr[data-row="{NAME}"]')
    expect(row.locator('[data-state="asleep"]')).to_contain_text("the next request starts it", timeout=SETTLED_MS)
    expect(row.locator('[data-column="replicas"]')).to_contain_text("0 to 2")

    row.get_by_role("button", name=f"Scale {NAME}").click()
    made = page.get_by_role("list", name="Decisions").get_by_role("listitem")
    expect(made.first).to_contain_text("1 → 0")
    assert house.chat(NAME, max_tokens=4).status_code == 200
    woken = made.filter(has_text="0 → 1").first
    expect(woken).to_contain_text("Requests came and nothing runs (waiting: 1)")
    woken.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(woken.get_by_label("Figures")).to_contain_text(re.compile("Requests in the queue *1"))
    expect(made.first).to_contain_text("1 → 0", timeout=SETTLED_MS)


def test_number_set_by_hand_counts_down_and_is_taken_back(page: Page, sleeping: RunningHouse) -> None:
    row = page.locator(f'tr[data-row="{NAME}"]')
    row.get_by_role("button", name=f"Scale {NAME}").click()
    panel = page.get_by_role("complementary")
    panel.get_by_label("Set by hand").fill("1")
    panel.get_by_text("30 min", exact=True).click()
    panel.get_by_role("button", name="Set", exact=True).click()
    held = panel.get_by_role("region", name="by hand")
    expect(held).to_contain_text("Set by hand to 1")
    expect(held).to_contain_text(re.compile(r"29 min \d+ s left"))
    expect(row.locator('[data-column="replicas"]')).to_contain_text("by hand")
    assert sleeping.api(f"/deployments/{NAME}")["override"]["replicas"] == 1
    expect(row.locator('[data-state="ready"]')).to_be_visible(timeout=SETTLED_MS)

    panel.get_by_text("Until taken back", exact=True).click()
    panel.get_by_role("button", name="Set", exact=True).click()
    expect(held).to_contain_text("Until it is taken back")
    held.get_by_role("button", name="Let the load decide").click()
    expect(held).to_have_count(0)
    assert sleeping.api(f"/deployments/{NAME}")["override"] is None
    expect(row.locator('[data-state="asleep"]')).to_be_visible(timeout=SETTLED_MS)
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_scaling_page_in_chinese_speaks_chinese(sleeping: RunningHouse) -> None:
    with browser(locale="zh-CN") as context:
        page = open_deployments(context.new_page(), sleeping, f"?scaling={NAME}")
        expect(page.locator('[data-state="asleep"]').first).to_contain_text("下一个请求会将其启动")
        panel = page.get_by_role("complementary")
        expect(panel.get_by_role("heading", name="决策记录")).to_be_visible()
        expect(panel).to_contain_text("限每月 1 号")
        made = panel.get_by_role("list", name="决策记录").get_by_role("listitem").first
        made.locator("summary").click()
        expect(made.get_by_label("依据的数值")).to_contain_text("就绪的副本")


@pytest.mark.parametrize(
    ("width", "locale", "dark"), [(390, "zh-CN", True), (1280, "en-US", False), (1920, "en-US", True)]
)
def test_scaling_pages_are_accessible_and_fit_the_window(
    sleeping: RunningHouse, width: int, locale: str, dark: bool
) -> None:
    chinese = locale == "zh-CN"
    with browser(width=width, locale=locale, dark=dark) as context:
        page = open_deployments(context.new_page(), sleeping, f"?scaling={NAME}")
        panel = page.get_by_role("complementary")
        panel.locator("summary").first.click()
        fits(page)
        page.goto(f"{sleeping.url}/admin/deployments?deploy")
        panel.get_by_text("随负载变化" if chinese else "Follows the load").click()
        panel.get_by_role("button", name="添加时间表" if chinese else "Add a schedule").click()
        panel.get_by_text("高级" if chinese else "Advanced").click()
        fits(page)


def fits(page: Page) -> None:
    expect_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
