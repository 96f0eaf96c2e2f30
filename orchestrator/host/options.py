"""What `roundhouse up` was asked for. PURE."""

from pathlib import Path

from msgspec import Struct


class UpOptions(Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 8000
    ops_host: str = "127.0.0.1"
    ops_port: int = 9000
    node_address: str = "127.0.0.1"
    """Address at which other machines reach this one: Ray, the store and replicas listen on it."""
    model: str | None = None
    name: str | None = None
    simulated: bool = False
    max_model_len: int | None = None
    gpus_per_replica: float | None = None
    replicas: int | None = None
    store_url: str | None = None
    no_auth: bool = False
    ui_dir: Path | None = None
    install_s: float | None = None
    """What the installation before us took; shown as the first, finished stage."""

    @property
    def local_url(self) -> str:
        """The URL at which this machine reaches the public port."""
        return f"http://{_reachable(self.host)}:{self.port}"

    @property
    def ops_url(self) -> str:
        return f"http://{_reachable(self.ops_host)}:{self.ops_port}"


def _reachable(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
