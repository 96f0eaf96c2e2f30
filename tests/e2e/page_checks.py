"""What holds for every page, whatever its language and width."""

import re
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page

from tests.e2e.accessibility import expect_accessible

WORDS = Path(__file__).parents[2] / "admin_ui" / "src" / "i18n"
CHINESE = re.compile("[一-鿿]")
CHINESE_NAME = "简体中文"
"""Stands where the language is chosen, in every language."""
NO_KEYS = {"admin.key", "settings.json"}
"""What looks like keys of the dictionary, and is files."""
SCREENS = [
    (locale, width, (width == 390) is (locale == "en-US"))
    for locale in ("en-US", "zh-CN")
    for width in (390, 1280, 1920)
]
"""(language, width in pixels, dark)."""
TEXTS = """() => [document.body.innerText, ...[...document.querySelectorAll("*")].flatMap((each) =>
    ["aria-label", "placeholder", "title", "alt"].map((name) => each.getAttribute(name) ?? ""))].join("\\n")"""
SETTLED = """() => Promise.allSettled(document.getAnimations()
    .filter((each) => Number.isFinite(each.effect.getComputedTiming().endTime))
    .map((each) => each.finished))"""
OUT_OF_REACH = """(area) => [...document.querySelectorAll(`${area} :is(a[href], button, input, select, textarea)`)]
    .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled)
    .filter((each) => {
        each.scrollIntoView({ block: "center", inline: "center" });
        const box = each.getBoundingClientRect();
        // Radios and files are chosen by their labels, which lie over them or in their place.
        if (box.width < 4 || box.height < 4 || ["radio", "file"].includes(each.type)) return false;
        const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        const labels = [...(each.labels ?? [])];
        return !(each.contains(hit) || hit?.contains(each) || labels.some((label) => label.contains(hit)));
    })
    .map((each) => each.outerHTML.slice(0, 200))"""


def top_keys() -> set[str]:
    """The first words of the dictionary's keys."""
    texts = {path.name: path.read_text() for path in WORDS.glob("en*.ts")}
    parts = {name for text in texts.values() for name in re.findall(r"(?m)^export const (\w+)", text)}
    return parts - {"en"} | set(re.findall(r"(?m)^  (\w+): \{", texts["en.ts"]))


KEY = re.compile(rf"(?<![\w./@-])(?:{'|'.join(sorted(top_keys()))})\.[A-Za-z]\w*(?:\.\w+)*")


def note_complaints(page: Page) -> list[str]:
    """A list that fills with the errors of the page's console."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def expect_sound(page: Page, locale: str, area: str = "main") -> None:
    """Its language alone, no key of the dictionary, nothing that overflows or cannot be reached, and accessible."""
    page.evaluate(SETTLED)
    where = f"{page.url} {locale}"
    text = page.locator(area).first.inner_text().replace(CHINESE_NAME, "")
    assert bool(CHINESE.search(text)) == locale.startswith("zh"), where
    raw = set(KEY.findall(page.evaluate(TEXTS))) - NO_KEYS
    assert not raw, (where, raw)
    expect_fits(page, area)
    expect_accessible(page)


def expect_fits(page: Page, area: str = "main") -> None:
    page.evaluate(SETTLED)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow == 0, (page.url, overflow)
    hidden = page.evaluate(OUT_OF_REACH, area)
    assert not hidden, (page.url, hidden)
