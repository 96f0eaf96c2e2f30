"""What a node tells its replicas: a JSON file that only its owner reads, named by an environment variable."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from replicas.errors import NodeConfigError

NODE_CONFIG_VARIABLE = "ROUNDHOUSE_NODE_CONFIG"
"""Set for `ray start`; the processes that Ray starts inherit it."""


class NodeConfig(Struct, frozen=True, kw_only=True):
    store_url: str
    """URL of the store, with its password."""
    node_address: str | None = None
    """Address that replicas listen on and routers reach; None takes Ray's address of the node."""


def read_node_config() -> NodeConfig:
    """The configuration of this node. Raises `NodeConfigError`."""
    name = os.environ.get(NODE_CONFIG_VARIABLE)
    if not name:
        raise NodeConfigError(
            f"{NODE_CONFIG_VARIABLE} is not set on this node, so a replica cannot find the store. Start the node with "
            "`roundhouse up` or `roundhouse join`, not with `ray start` alone."
        )
    try:
        return msgspec.json.decode(Path(name).read_bytes(), type=NodeConfig)
    except (OSError, msgspec.DecodeError) as error:
        raise NodeConfigError(
            f"The node's configuration {name} cannot be read ({error}). Run `roundhouse join` again on this node."
        ) from error
