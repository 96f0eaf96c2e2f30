"""What a host's process is told at its start, from `ROUNDHOUSE_WEIGHTS_*` variables."""

from pathlib import Path

from pydantic import ByteSize
from pydantic_settings import BaseSettings, SettingsConfigDict


class WeightsSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ROUNDHOUSE_WEIGHTS_")

    store_url: str
    address: str
    """Of the node: other hosts reach it, and it names this host."""
    folder: Path
    """Of the cache, or the library's own contents."""
    is_library: bool = False
    """The folder is the orchestrator's: it is read, and never written to."""
    cache_bytes: ByteSize | None = None
    """Limit of the cache, as `200GiB`; left out: all of the disk but a twentieth, at least 1 GiB."""
    patience_s: float = 30.0
    """How long a fetch goes on while nothing comes."""
