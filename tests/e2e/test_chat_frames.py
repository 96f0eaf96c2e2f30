"""What an answer costs the page while it is written: real Chromium, real streams of the simulated engine."""

import json
import logging
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.chat import choose, deploy, field, log_in
from tests.e2e.frames import FrameWatch, Stretch
from tests.e2e.house import RunningHouse, until

pytestmark = [pytest.mark.heavy, pytest.mark.browser, pytest.mark.timeout(400)]

_log = logging.getLogger(__name__)

FAST = "fast"
TOKEN_S = 0.004
PARTS = 5
WRITTEN = """(enough) => [...document.querySelectorAll("[data-testid=answer-stats]")].at(-1)
    .textContent.match(/· ([\\d,]+) tokens(?!\\/)/)?.[1].replaceAll(",", "") > enough"""
"""Whether the last answer has more tokens than that."""
WORDS = """Say *much* with `code`, **bold** and [links](https://example.com):

- one item
- another item

| name | value |
| --- | ---: |
| a | 1 |

```python
def answer(question):
    return len(question) * 2  # as long
```

And some prose after it, which goes on for a while as prose does."""


@pytest.fixture(scope="module")
def house(simulated_house: RunningHouse) -> RunningHouse:
    """With a model of some 250 tokens a second."""
    deploy(simulated_house, FAST, inter_token_s=TOKEN_S)
    until(lambda: simulated_house.models().get(FAST, {}).get("status") == "ready", 120, f"{FAST} ready")
    return simulated_house


@pytest.fixture
def page(context: BrowserContext, house: RunningHouse) -> Page:
    return choose(log_in(context.new_page(), house), FAST)


def watch_answer(page: Page, tokens: int) -> list[Stretch]:
    """An answer of so many tokens, in so many stretches of as many tokens each."""

    def goes_on(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        route.continue_(post_data=json.dumps(body | {"ignore_eos": True, "max_tokens": tokens}))

    page.route("**/v1/chat/completions", goes_on)
    field(page).fill(WORDS)
    page.keyboard.press("Enter")
    answer = page.get_by_test_id("answer-text").last
    expect(answer).to_contain_text("Say much", timeout=60_000)
    watch = FrameWatch(page)
    stretches = []
    for part in range(1, PARTS + 1):
        page.wait_for_function(WRITTEN, arg=0.9 * tokens * part / PARTS, timeout=200_000)
        stretches.append(watch.look())
    expect(page.locator('[data-testid="answer"][data-state="writing"]')).to_have_count(0, timeout=60_000)
    page.unroute("**/v1/chat/completions")
    return stretches


def report(title: str, stretches: list[Stretch]) -> None:
    """Seen with `--log-cli-level=INFO`."""
    _log.info("%s", "\n".join((title, *map(str, stretches))))


def test_frame_costs_the_same_at_the_end_of_a_long_answer(page: Page, full: bool) -> None:
    """10,000 tokens with --full. Processor time says it: the machine's other work moves the frames, but not that."""
    tokens = 10_000 if full else 2_500
    stretches = watch_answer(page, tokens)
    report(f"{tokens} tokens", stretches)
    assert stretches[-1].frame_ms() < 2 * stretches[0].frame_ms()
    assert stretches[-1].frame_ms("script") < 2 * stretches[0].frame_ms("script")


def test_frame_costs_the_same_in_a_chat_of_a_hundred_messages(page: Page, tmp_path: Path) -> None:
    alone = watch_answer(page, 1_000)[-1]
    messages = [{"role": role, "content": WORDS} for _ in range(50) for role in ("user", "assistant")]
    (tmp_path / "chat.json").write_text(json.dumps({"title": "Long", "model": FAST, "messages": messages}))
    page.locator('input[type="file"]').first.set_input_files(tmp_path / "chat.json")
    expect(page.get_by_role("heading", level=1)).to_have_text("Long")
    choose(page, FAST)
    among = watch_answer(page, 1_000)[-1]
    report("alone, and after a hundred messages", [alone, among])
    assert among.frame_ms("script") < 2 * alone.frame_ms("script")
