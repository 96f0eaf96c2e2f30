"""What the server says, on Chinese pages: real Chromium, the real house, simulated engines."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.admin import SETTLED_MS, confirm, go, log_in, panel_of, row
from tests.e2e.browser import browser
from tests.e2e.chat import MODEL, put_deployment
from tests.e2e.house import RunningHouse, until
from tests.honest_models import data_bytes, header_of, llama_shapes, write_model, write_weights

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

TINY, BIG, BROKEN = "tiny", "big", "broken"
NO_MEMORY, OTHER_SHAPES = "The card has no memory left.", "It has other shapes."
"""What an engine says stays as it is."""
ENGLISH = re.compile(r"\b[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}\b")
"""Three English words in a row; names of things have two at most."""


@pytest.fixture(scope="module")
def house(simulated_house: RunningHouse, tmp_path_factory: pytest.TempPathFactory) -> RunningHouse:
    """One model serves and takes no other weights, one is scaled to zero, one fails, and one finds no room."""
    house = simulated_house
    house.succeed("scale", MODEL, "0")  # the machine may have two CPUs alone
    folder = write_model(tmp_path_factory.mktemp("models") / TINY)
    header = header_of(llama_shapes())
    house.succeed("model", "push", str(folder), "--name", TINY)
    put_deployment(house, TINY, model=TINY, engine_args={"faults": {"refuse_swap": OTHER_SHAPES}})
    until(lambda: house.models().get(TINY, {}).get("status") == "ready", 120, f"{TINY} ready")
    write_weights(folder / "model.safetensors", header, b"\x12" * data_bytes(header))
    house.succeed("model", "push", str(folder), "--name", TINY)
    put_deployment(house, BROKEN, engine_args={"faults": {"fail_to_start": NO_MEMORY, "fail_permanently": True}})
    until(lambda: house.models().get(BROKEN, {}).get("status") == "failed", 120, f"{BROKEN} failed")
    put_deployment(house, BIG, gpus_per_replica=64)
    until(lambda: "64" in house.api(f"/deployments/{BIG}")["reason"], 60, f"{BIG} lacks room")
    return house


@pytest.fixture
def page(house: RunningHouse) -> Iterator[Page]:
    with browser(locale="zh-CN") as context:
        yield log_in(context.new_page(), house)


def expect_no_english(place: Locator) -> None:
    """Beside what is quoted."""
    said = re.sub("“[^”]*”", "", place.inner_text())
    assert not ENGLISH.search(said), said


def test_states_of_deployments_say_why_in_chinese(page: Page, house: RunningHouse) -> None:
    go(page, house, "deployments")
    for name, words in (
        (MODEL, "副本数已调为零；调高即可提供服务"),
        (BIG, "每个副本需要同一节点上的 64 个 GPU；空闲："),
        (BROKEN, f"副本报告“{NO_MEMORY}”"),
    ):
        expect(page.locator(f'tr[data-row="{name}"]')).to_contain_text(words)
    expect_no_english(page.get_by_role("main"))


def test_what_is_wrong_is_said_in_chinese_with_its_reason(page: Page, house: RunningHouse) -> None:
    go(page, house, "overview")
    failed = page.locator('[data-problem="deployment_failed"]')
    expect(failed).to_contain_text(f"{BROKEN} 无法启动：副本报告“{NO_MEMORY}”。", timeout=SETTLED_MS)
    homeless = page.locator('[data-problem="no_room"]')
    expect(homeless).to_contain_text(f"没有主机能容纳 {BIG}：每个副本需要同一节点上的 64 个 GPU")
    expect_no_english(page.get_by_role("main"))


def test_swap_says_its_way_and_why_it_was_refused_in_chinese(page: Page, house: RunningHouse) -> None:
    go(page, house, f"deployments?swap={TINY}")
    panel = panel_of(page)
    panel.get_by_role("radio").first.check()
    panel.get_by_role("button", name="切换", exact=True).click()
    swap = panel.get_by_test_id("swap").first
    expect(swap).to_have_attribute("data-step", "failed", timeout=SETTLED_MS)
    expect(swap).to_contain_text("架构、分词器和对话模板均相同")
    expect(swap).to_contain_text(f"不接受新权重：副本报告“{OTHER_SHAPES}”。")
    expect_no_english(panel)
    go(page, house, "overview")
    problem = page.locator('[data-problem="swap_failed"]')
    expect(problem).to_contain_text(f"{TINY} 上一次切换失败，仍在使用旧权重：", timeout=SETTLED_MS)
    expect_no_english(problem)


def test_form_that_is_refused_says_why_in_chinese(page: Page, house: RunningHouse) -> None:
    taken = {"targets": [{"model": TINY, "weight": 1}]}
    house.http.put(f"{house.url}/api/v1/aliases/taken", headers=house.headers, json=taken).raise_for_status()
    go(page, house, "deployments?deploy")
    panel = panel_of(page)
    panel.get_by_text("模拟", exact=True).click()
    panel.get_by_label("公开名称").fill("taken")
    panel.get_by_role("button", name="部署", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("“taken”是一个别名。请换一个名称，或先删除该别名。")
    expect_no_english(panel)


def test_action_that_is_refused_says_why_in_chinese(page: Page, house: RunningHouse) -> None:
    taken = {"targets": [{"model": BIG, "weight": 1}]}
    house.http.put(f"{house.url}/api/v1/aliases/named", headers=house.headers, json=taken).raise_for_status()
    go(page, house, "deployments")
    row(page, "部署", BIG).get_by_role("button", name=f"停止部署 {BIG}").click()
    confirm(page, "停止部署")
    expect(page.get_by_role("alert")).to_contain_text(f"别名“named”会将请求发往“{BIG}”。请先更改或删除该别名。")


def test_models_of_the_chat_say_in_chinese_why_they_do_not_answer(page: Page, house: RunningHouse) -> None:
    page.get_by_test_id("model-picker").click()
    models = page.get_by_role("listbox")
    expect(models.get_by_role("option", name=BIG).first).to_contain_text("每个副本需要同一节点上的 64 个 GPU")
    expect(models.get_by_role("option", name=MODEL).first).to_contain_text("副本数已调为零")
    expect_no_english(models)


def test_library_says_in_chinese_why_weights_are_rejected_and_whether_others_fit(
    page: Page, house: RunningHouse, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "cut")
    (folder / "config.json").write_text("{")
    assert house.command("model", "push", str(folder), "--name", "cut").returncode != 0
    go(page, house, "models")
    rejected = row(page, "模型", "cut")
    expect(rejected).to_contain_text("配置文件有误：“config.json")
    expect_no_english(rejected)
    go(page, house, f"models/{TINY}")
    expect(page.locator('[data-state="fits"]').locator("..")).to_contain_text("放得下：占主机空闲内存")


def test_page_in_english_has_the_servers_own_words(house: RunningHouse) -> None:
    with browser() as context:
        page = go(log_in(context.new_page(), house), house, "deployments")
        expect(row(page, "Deployments", BIG)).to_contain_text("a replica needs 64 GPUs on one node; free: 0")
        expect(row(page, "Deployments", BROKEN)).to_contain_text(NO_MEMORY)
