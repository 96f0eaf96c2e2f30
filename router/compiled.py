"""The router's hot modules as machine code, where `infra/compile_router.py` has made it.

mypyc compiles these modules as they stand; they mean the same either way, and take about half as long. A build belongs
to the very sources that it was made from: after a change to one of them the sources run, until it is made again.
ROUNDHOUSE_INTERPRETED=1 runs the sources in any case.
"""

import hashlib
import os
import sys
from pathlib import Path

HOT = (
    "admission", "answer", "answer_stream", "attempt", "circuit", "dispatcher", "estimates", "exchange", "failover",
    "features", "headers", "identity", "job", "key_use", "learning", "load_window", "meters", "policy", "prefix_chain",
    "prefix_index", "prompt_text", "protocol", "quarantine", "replica_view", "request_head", "request_side",
    "sent_tokens", "served_model", "upstream", "waiting_room",
)  # fmt: skip
PACKAGE = Path(__file__).parent
BUILDS = Path(sys.prefix) / "roundhouse"


def folder(builds: Path = BUILDS) -> Path:
    """Where the build of these sources is, or would be."""
    digest = hashlib.sha256(sys.implementation.cache_tag.encode())
    for path in (*sorted(PACKAGE.glob("*.py")), PACKAGE.parent / "replicas" / "types.py"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return builds / digest.hexdigest()[:16]


def use(package_path: list[str], builds: Path = BUILDS) -> bool:
    """Puts the build, if there is one, before the sources on the path of the package `router`."""
    if os.environ.get("ROUNDHOUSE_INTERPRETED") == "1" or not builds.is_dir():
        return False
    build = folder(builds)
    if not build.is_dir():
        return False
    package_path.insert(0, str(build / "router"))
    sys.path.append(str(build))  # what the modules have in common lies beside the package
    return True
