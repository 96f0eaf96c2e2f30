"""The library's pages as an admin uses them: real Chromium, real uploads, a simulated deployment."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.house import RunningHouse, until
from tests.honest_models import LLAMA, data_bytes, header_of, llama_shapes, write_model, write_weights

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

SETTLED_MS = 60_000
WIDE = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 4}
"""With these a Llama has some 32 MB."""
SLOW_BYTES_PER_S = 4_000_000


@pytest.fixture
def page(context: BrowserContext, simulated_house: RunningHouse) -> Page:
    """The models of the library, logged in by a one-time link."""
    opened = context.new_page()
    opened.goto(simulated_house.login_url())
    opened.get_by_role("textbox", name="Message").wait_for()
    return open_models(opened, simulated_house)


def open_models(page: Page, house: RunningHouse) -> Page:
    page.goto(f"{house.url}/admin/models")
    page.get_by_role("heading", name=re.compile("^Models")).wait_for()
    return page


def revised(folder: Path, fill: bytes) -> Path:
    """The same model with other numbers."""
    header = header_of(llama_shapes())
    write_weights(folder / "model.safetensors", header, fill * data_bytes(header))
    return folder


def drop(page: Page, path: Path) -> None:
    """Drag a file or folder from the desktop onto the page."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": data})


def throttle(page: Page) -> None:
    """Slow enough that something can be done while files are sent."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    rates = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW_BYTES_PER_S}
    session.send("Network.emulateNetworkConditions", rates)


def choose(page: Page, folder: Path) -> Locator:
    """The upload panel with the files of `folder`."""
    panel = page.get_by_role("complementary")
    panel.get_by_test_id("folder-field").set_input_files(folder)
    return panel


def upload_row(page: Page, name: str) -> Locator:
    return page.get_by_role("table", name="Uploads").get_by_role("row").filter(has_text=name)


def bytes_there(house: RunningHouse, name: str) -> int:
    return sum(each["received_bytes"] for each in house.api("/uploads") if each["name"] == name)


def test_dropped_folder_becomes_a_revision_that_is_described_fitted_and_swapped(
    page: Page, simulated_house: RunningHouse, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "tiny")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "left-over").write_text("not of the model")
    drop(page, folder)
    panel = page.get_by_role("complementary")
    expect(panel.get_by_label("Name in the library")).to_have_value("tiny")
    expect(panel).to_contain_text(".cache/left-over")
    panel.get_by_label("Notes").fill("first numbers")
    panel.get_by_role("button", name="Upload", exact=True).click()
    expect(upload_row(page, "tiny").locator('[data-state="ready"]')).to_be_visible(timeout=SETTLED_MS)
    (model,) = [each for each in simulated_house.api("/models") if each["name"] == "tiny"]
    assert model["revisions"][0]["notes"] == "first numbers"

    page.get_by_role("table", name="Models").get_by_role("link", name="tiny", exact=True).click()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Description").fill("Says hello.")
    page.get_by_label("Licence").fill("Apache-2.0")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("region", name="Description")).to_contain_text("Says hello.")
    expect(page.get_by_role("region", name="Description")).to_contain_text("Apache-2.0")

    fit = page.get_by_role("region", name="Does it fit?")
    expect(fit.locator('[data-state="fits"]')).to_be_visible()
    fit.get_by_role("slider", name="Context (tokens)").press("Home")
    expect(fit.get_by_role("textbox", name="Context (tokens)")).to_have_value("1")
    fit.get_by_role("textbox", name="Context (tokens)").fill("99999")
    expect(fit.locator('[data-state="unfit"]')).to_be_visible()
    expect(fit).to_contain_text("The model reads at most 128 tokens")

    served = {"engine": "simulated", "model": "tiny", "simulation": {"swap_s": 2}}
    url = f"{simulated_house.url}/api/v1/deployments/chat"
    simulated_house.http.put(url, headers=simulated_house.headers, json=served).raise_for_status()
    page.get_by_role("button", name="Upload a revision").click()
    panel = choose(page, revised(folder, b"\x12"))
    panel.get_by_label("Notes").fill("second numbers")
    panel.get_by_role("button", name="Upload", exact=True).click()
    second = page.get_by_role("table", name="Revisions").get_by_role("row").filter(has_text="second numbers")
    expect(second.locator('[data-state="ready"]')).to_be_visible(timeout=SETTLED_MS)

    page.goto(f"{simulated_house.url}/admin/deployments")
    row = page.locator('tr[data-row="chat"]')
    expect(row.locator('[data-state="ready"]')).to_be_visible(timeout=SETTLED_MS)
    row.get_by_role("button", name="Swap weights chat").click()
    panel = page.get_by_role("complementary")
    panel.get_by_role("radio").check()
    panel.get_by_role("button", name="Swap", exact=True).click()
    swap = panel.get_by_test_id("swap")
    expect(swap).to_contain_text("In place: same architecture, tokenizer and chat template")
    expect(swap.locator('[aria-current="step"]')).to_contain_text("First replica swaps")
    expect(swap).to_have_attribute("data-step", "done", timeout=SETTLED_MS)
    newest = simulated_house.api("/models/tiny")["revision"]
    assert simulated_house.api("/deployments/chat")["revision"] == newest
    panel.get_by_role("button", name="Roll back").click()
    until(lambda: simulated_house.api("/deployments/chat")["revision"] != newest, 60, "the rollback")


def test_upload_paused_and_cut_by_a_closed_tab_goes_on_when_the_folder_is_chosen_again(
    context: BrowserContext, page: Page, simulated_house: RunningHouse, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "wide", LLAMA | WIDE, llama_shapes(4, 512, 2048, 512, 256))
    page.get_by_role("button", name="Upload", exact=True).click()
    throttle(page)
    choose(page, folder).get_by_role("button", name="Upload", exact=True).click()
    row = upload_row(page, "wide")
    expect(row).to_contain_text(re.compile(r"\d s left"))
    expect(row).to_contain_text(re.compile(r"MB/s"))
    row.get_by_role("button", name="Pause wide").click()
    expect(row.locator('[data-state="paused"]')).to_be_visible()
    paused_at = until(lambda: bytes_there(simulated_house, "wide"), 20, "the first bytes")
    row.get_by_role("button", name="Resume wide").click()
    until(lambda: bytes_there(simulated_house, "wide") > paused_at, 20, "more bytes")
    page.close()

    again = open_models(context.new_page(), simulated_house)
    expect(upload_row(again, "wide").locator('[data-state="receiving"]')).to_be_visible()
    again.get_by_role("button", name="Choose its files").click()
    other = shutil.copytree(folder, tmp_path / "other", ignore=shutil.ignore_patterns("config.json"))
    expect(choose(again, other).get_by_role("alert")).to_contain_text("Missing: config.json")
    panel = choose(again, folder)
    expect(panel).to_contain_text("It goes on from there")
    panel.get_by_role("button", name="Go on", exact=True).click()
    expect(upload_row(again, "wide").locator('[data-state="ready"]')).to_be_visible(timeout=SETTLED_MS)
    assert [each["state"] for each in simulated_house.api("/uploads") if each["name"] == "wide"] == ["complete"]


def test_upload_that_is_rejected_shows_the_reason_and_leaves_no_model_to_deploy(page: Page, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "broken")
    (folder / "config.json").write_text("{")
    page.get_by_role("button", name="Upload", exact=True).click()
    choose(page, folder).get_by_role("button", name="Upload", exact=True).click()
    expect(upload_row(page, "broken").locator('[data-state="rejected"]')).to_be_visible(timeout=SETTLED_MS)
    reason = page.get_by_role("table", name="Uploads").get_by_role("alert")
    expect(reason).to_contain_text("config.json is not readable")
    page.get_by_role("button", name="Dismiss broken").click()
    expect(upload_row(page, "broken")).to_have_count(0)
    row = page.locator('tr[data-row="broken"]')
    expect(row).to_contain_text("config.json is not readable")
    expect(row.get_by_role("link", name="Deploy broken")).to_have_count(0)
