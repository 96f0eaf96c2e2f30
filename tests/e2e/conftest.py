"""Houses and browsers that tests share. A real engine takes most of a minute to start, so one serves the session."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.e2e.browser import browser
from tests.e2e.house import RunningHouse

SMOLLM2 = "SmolLM2-135M-Instruct"


@pytest.fixture(scope="session")
def real_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """Roundhouse with the default model on real vLLM."""
    house = RunningHouse.on_free_ports(tmp_path_factory.mktemp("real"))
    house.up()
    yield house
    house.command("down")


@pytest.fixture(scope="module")
def simulated_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """Roundhouse on real Ray Serve with a simulated engine: quick, and no model."""
    house = RunningHouse.on_free_ports(tmp_path_factory.mktemp("simulated"))
    house.up("--engine", "simulated")
    yield house
    house.command("down")


@pytest.fixture
def context() -> Iterator[BrowserContext]:
    """A new user's browser, in English."""
    with browser() as opened:
        yield opened
