"""What the orchestrator process is told at its start, from `ROUNDHOUSE_ORCHESTRATOR_*` variables."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ROUNDHOUSE_ORCHESTRATOR_")

    store_url: str
    home: Path
    port: int
    """Loopback port of the admin API; the router passes `/api/*` on to it."""
    ray_address: str
    ray_namespace: str = "roundhouse"
    node_address: str = "127.0.0.1"
    no_auth: bool = False
    tick_s: float = 1.0
    cluster_grows: bool = False
    """Ray gets more nodes when replicas wait for one (its autoscaler, KubeRay)."""
