"""Where the Roundhouse that runs from `ROUNDHOUSE_HOME` takes requests: its router, and each replica behind it."""

from dataclasses import dataclass

import msgspec
import redis

from orchestrator.host.home import Home
from replicas.types import ENDPOINT_IDS_KEY, Endpoint, ReplicaState, endpoint_key

_PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Target:
    """An address that answers chat requests, and the key that it wants."""

    url: str
    key: str


@dataclass(frozen=True)
class House:
    """One model of the running Roundhouse."""

    model: str
    engine: str
    router: Target
    replicas: tuple[Target, ...]


class _NodeConfig(msgspec.Struct):
    store_url: str


def find_house(model: str | None) -> House:
    """The running Roundhouse, and `model` or the only one that is ready. Ends the bench with a sentence if not."""
    home = Home.of_environment()
    instance = home.instance()
    if instance is None or not home.is_locked():
        raise SystemExit(f"No Roundhouse runs from {home.root}. Start one (infra/up) or set ROUNDHOUSE_HOME.")
    config = msgspec.json.decode(home.node_config.read_bytes(), type=_NodeConfig)
    ready = [each for each in _endpoints(config.store_url) if each.state is ReplicaState.READY]
    models = sorted({each.model for each in ready})
    if model is None and len(models) != 1:
        raise SystemExit(f"Say which model to ask with --model. Ready: {', '.join(models) or 'none'}.")
    chosen = [each for each in ready if each.model == (model or models[0])]
    if not chosen:
        raise SystemExit(f"No replica of {model} is ready. Ready: {', '.join(models) or 'none'}.")
    return House(
        model=chosen[0].model,
        engine=chosen[0].engine.value,
        router=Target(f"{instance.url.rstrip('/')}{_PATH}", home.admin_key.read_text().strip()),
        replicas=tuple(Target(f"http://{each.host}:{each.port}{_PATH}", each.token) for each in chosen),
    )


def _endpoints(store_url: str) -> list[Endpoint]:
    with redis.Redis.from_url(store_url) as store:
        keys = [endpoint_key(replica_id.decode()) for replica_id in sorted(store.smembers(ENDPOINT_IDS_KEY))]
        records = store.mget(keys) if keys else []
    return [msgspec.json.decode(record, type=Endpoint) for record in records if record]
