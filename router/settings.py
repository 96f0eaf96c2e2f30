"""What the router is told from outside. One prefix: `ROUNDHOUSE_ROUTER_`."""

import ipaddress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_PREFIX = "ROUNDHOUSE_ROUTER_"
_HIGHEST_PORT = 65535


def is_loopback(host: str) -> bool:
    """True for a host name or address that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class RouterSettings(BaseSettings):
    """Read once at start; a value that cannot work is refused there with a sentence."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore", populate_by_name=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=_HIGHEST_PORT)
    ops_host: str = "127.0.0.1"
    ops_port: int = Field(default=9000, ge=0, le=_HIGHEST_PORT)
    store_url: str = "redis://127.0.0.1:6379/0"
    """`redis://`, `rediss://` or `unix://`; any server that speaks the Redis protocol."""
    orchestrator_url: str | None = None
    """Where `/api/*` goes: an http URL on a loopback address."""
    ui_dir: Path | None = None
    """Folder of the built web UI. It may appear after the start."""
    no_auth: bool = False
    """Everyone is admin. Loopback only."""

    max_body_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    max_head_bytes: int = Field(default=64 * 1024, ge=1024)
    max_header_count: int = Field(default=100, ge=8)
    header_timeout_s: float = Field(default=15.0, gt=0)
    """From the first byte of a request, or from the connection's start, to the end of its headers."""
    body_timeout_s: float = Field(default=60.0, gt=0)
    """A body may take longer only while it comes at `min_body_bytes_per_s` or faster."""
    min_body_bytes_per_s: int = Field(default=4096, ge=0)
    keep_alive_s: float = Field(default=75.0, gt=0)
    """How long a client's idle connection stays open."""
    connect_timeout_s: float = Field(default=2.0, gt=0)
    upstream_idle_s: float = Field(default=30.0, gt=0)
    upstream_idle_connections: int = Field(default=256, ge=1)
    """Idle connections kept per replica."""
    circuit_open_s: float = Field(default=1.0, gt=0)
    """How long a replica that failed is passed over while others are there; each time it fails again twice as long."""
    retry_for_s: float = Field(default=15.0, gt=0)
    """How long a request that replicas failed is tried again: longer than the lease of a replica that died."""
    refresh_s: float = Field(default=1.0, gt=0)
    """The routing table is read again at least this often, events or not."""
    drain_s: float = Field(default=30.0, ge=0)
    """How long requests in flight may take to end after SIGTERM."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the public port, each a router of its own. Number i has the ops port `ops_port` + i."""
    log_level: str = "WARNING"

    access_log: str = ""
    """A path, or `-` for standard output; empty: off. Several workers write to files of their own."""
    access_log_sample: float = Field(default=1.0, ge=0, le=1)
    """Share of the requests that is logged. Those that end with 429, or with 500 and above, always are."""
    otlp_endpoint: str = Field(
        default="", validation_alias=AliasChoices(f"{_PREFIX}OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    """Base URL of an OpenTelemetry collector (OTLP over HTTP); empty: no spans."""
    trace_sample: float = Field(default=1.0, ge=0, le=1)
    """Share of the requests without a trace of their client's that is recorded."""
    trace_max_per_s: float = Field(default=100.0, ge=0)
    """Spans recorded in a second at most: each costs the router's core twice what carrying a request does."""

    @field_validator("store_url")
    @classmethod
    def _store_speaks_redis(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
            # Without the value: it may hold a password.
            raise ValueError("store_url must be a redis://, rediss:// or unix:// URL, such as redis://127.0.0.1:6379/0")
        return value

    @field_validator("orchestrator_url")
    @classmethod
    def _orchestrator_is_loopback(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme != "http" or not parts.hostname or not is_loopback(parts.hostname):
            raise ValueError(
                f"orchestrator_url is {value!r}; it must be an http URL on a loopback address, "
                "such as http://127.0.0.1:8100"
            )
        return value.rstrip("/")

    @field_validator("otlp_endpoint")
    @classmethod
    def _collector_is_reached_by_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(
                f"otlp_endpoint is {value!r}; it must be an http or https URL, such as http://localhost:4318"
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _every_worker_has_an_ops_port(self) -> Self:
        if self.ops_port and self.ops_port + self.workers - 1 > _HIGHEST_PORT:
            raise ValueError(f"ops_port is {self.ops_port}, after which there are no ports for {self.workers} workers")
        return self

    @model_validator(mode="after")
    def _no_auth_stays_at_home(self) -> Self:
        if self.no_auth and not is_loopback(self.host):
            raise ValueError(
                f"no_auth works on a loopback address only and host is {self.host!r}; "
                "set host to 127.0.0.1 or turn no_auth off"
            )
        return self
