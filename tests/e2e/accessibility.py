"""What axe finds wrong with a page."""

import json
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "admin_ui" / "node_modules" / "axe-core" / "axe.min.js"


def expect_accessible(page: Page) -> None:
    """Nothing that axe calls serious, by the rules of WCAG 2.1 AA."""
    # The page's own policy forbids scripts of others in it, but not those of the browser's driver.
    page.evaluate(AXE.read_text())
    run = "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })"
    found = page.evaluate(f"async () => (await {run}).violations")
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, json.dumps([(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in serious])
