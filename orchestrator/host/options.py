"""What `roundhouse up` and `roundhouse join` were asked for. PURE."""

from pathlib import Path

from msgspec import Struct, field


class RouterOptions(Struct, frozen=True, kw_only=True):
    """Where the routers of a machine listen."""

    host: str = "127.0.0.1"
    port: int = 8000
    ops_host: str = "127.0.0.1"
    ops_port: int = 9000
    workers: int = 1
    """Router processes on the public port. Number i has the ops port `ops_port` + i."""

    @property
    def listens_on(self) -> list[tuple[str, int]]:
        """Address and port of every listener, the public one first."""
        ops = [(self.ops_host, self.ops_port + index) for index in range(self.workers)]
        return [(self.host, self.port), *ops]

    @property
    def local_url(self) -> str:
        """The URL at which this machine reaches the public port."""
        return f"http://{_reachable(self.host)}:{self.port}"

    @property
    def ops_urls(self) -> list[str]:
        """Of the ops ports, one for each process."""
        return [f"http://{_reachable(host)}:{port}" for host, port in self.listens_on[1:]]


class UpOptions(RouterOptions, frozen=True, kw_only=True):
    node_address: str = "127.0.0.1"
    """Address at which other machines reach this one: Ray, the store and replicas listen on it."""
    labels: dict[str, str] = field(default_factory=dict)
    """Of this machine, for deployments that want certain hosts."""
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


def _reachable(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
