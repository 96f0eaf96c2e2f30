"""Words that would hurt if a page took them for more than words."""

from typing import Any

from playwright.sync_api import Page, expect

ATTACKS = [
    "<script>window.hurt = 1</script>",
    "<img src=x onerror='window.hurt = 1'>",
    "[click](javascript:window.hurt=1)",
    "[click](  JaVaScRiPt&#58;window.hurt=1)",
    "[click](data:text/html,<script>window.hurt=1</script>)",
    "<a href='javascript:window.hurt=1'>x</a> <javascript:window.hurt=1>",
    "![x](https://example.invalid/steal?x=1)",
    "![x][pic]\n\n[pic]: https://example.invalid/steal?x=2",
    "<svg/onload=window.hurt=1>",
    "<style>@import 'https://example.invalid/x.css'</style><link rel=stylesheet href=https://example.invalid/y.css>",
    "<details open ontoggle=window.hurt=1><summary>x</summary></details>",
    "<form action=https://example.invalid><button>Log in</button></form>",
    "<base href=https://example.invalid/>",
    "$\\href{javascript:window.hurt=1}{x}$ and $\\htmlData{onclick=window.hurt=1}{y}$",
    "$$\\includegraphics{https://example.invalid/steal.png}$$ and $\\url{javascript:window.hurt=1}$",
    "```html\n<script>window.hurt=1</script>\n```",
    '```"><img src=x onerror=window.hurt=1>\nx\n```',
    "| <img src=x onerror=window.hurt=1> | b |\n| --- | --- |\n| [c](vbscript:x) | d |",
    "<iframe srcdoc='<script>parent.hurt=1</script>'></iframe>",
    "{{constructor.constructor('window.hurt=1')()}}",
]
EVIL_NAME = "<img src=x onerror='window.hurt = 1'>"
_HURTFUL = """a[href^='javascript' i], a[href^='data' i], [onclick], [onerror], [onload], [ontoggle], main script,
    main style, main link, main form[action], base, iframe, main img:not([src^='data:image/'])"""


def note_foreign_requests(page: Page) -> list[str]:
    """A list that fills with what the page asks of other hosts."""
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if ".invalid" in request.url else None)
    return foreign


def expect_inert(page: Page) -> None:
    expect(page.locator(_HURTFUL)).to_have_count(0)
    protocols = page.locator("main a[href]").evaluate_all("(all) => all.map((each) => each.protocol)")
    assert set(protocols) <= {"http:", "https:"}
    assert page.evaluate("window.hurt") is None


def poisoned(value: Any, names: frozenset[str]) -> Any:
    """`value`, with the attack in the place of every text under one of `names`."""
    if isinstance(value, list):
        return [poisoned(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: EVIL_NAME if key in names and isinstance(each, str) else poisoned(each, names)
        for key, each in value.items()
    }
