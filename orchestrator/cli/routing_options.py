"""Options of `deploy` that routers follow. Each is named, described and given to the API here and nowhere else."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from orchestrator.errors import InvalidRequestError
from orchestrator.external import engine_name
from router.types import PolicyName

_HOW, _WHERE = "Routing", "Engine outside the cluster"


@dataclass(frozen=True)
class RoutingOptions:
    """Fields are named as in the API. What is left out has the server's default."""

    policy: Annotated[
        PolicyName | None, Option(help="How replicas are chosen; prefix-aware without it.", rich_help_panel=_HOW)
    ] = None
    target_ttft_s: Annotated[
        float | None,
        Option("--target-ttft", min=0, help="Seconds to the first token that users should see.", rich_help_panel=_HOW),
    ] = None
    max_in_flight: Annotated[
        int | None,
        Option(min=1, help="Requests in one replica at once; the engine's own limit without it.", rich_help_panel=_HOW),
    ] = None
    queue_requests: Annotated[
        int | None, Option(min=0, help="Waiting requests beyond which more are refused.", rich_help_panel=_HOW)
    ] = None
    queue_timeout_s: Annotated[
        float | None,
        Option("--queue-timeout", min=0, help="Seconds to wait for a replica that is busy.", rich_help_panel=_HOW),
    ] = None
    cold_start_timeout_s: Annotated[
        float | None,
        Option("--cold-start-timeout", min=0, help="Seconds to wait for one to start.", rich_help_panel=_HOW),
    ] = None
    continue_streams: Annotated[
        bool | None,
        Option(
            "--continue-streams/--no-continue-streams",
            help="Go on with a stream elsewhere when its replica is lost.",
            rich_help_panel=_HOW,
        ),
    ] = None

    def body(self) -> dict[str, Any]:
        """`routing` of a deployment's body."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True)
class ExternalOptions:
    """One OpenAI-compatible server that somebody else runs; the API takes several."""

    external: Annotated[
        str | None,
        Option(
            metavar="URL",
            help="Base URL, up to and including /v1. Beside replicas, or alone where MODEL is no model of the library.",
            rich_help_panel=_WHERE,
        ),
    ] = None
    external_key_file: Annotated[
        str | None,
        Option(metavar="FILE", help="File that holds its key; `-` reads it from stdin.", rich_help_panel=_WHERE),
    ] = None
    external_model: Annotated[
        str | None,
        Option(metavar="NAME", help="What the model is called there, if not as here.", rich_help_panel=_WHERE),
    ] = None
    external_weight: Annotated[
        float | None,
        Option(
            min=0,
            help="Its share of requests relative to one replica; 0, as without it: only when no replica has room.",
            rich_help_panel=_WHERE,
        ),
    ] = None
    external_limit: Annotated[int | None, Option(min=1, help="Requests inside it at once.", rich_help_panel=_WHERE)] = (
        None
    )

    def body(self) -> list[dict[str, Any]]:
        """`external` of a deployment's body. Reads the key; raises InvalidRequestError where there is none."""
        told = [name for name, value in dataclasses.asdict(self).items() if value is not None]
        if self.external is None:
            if told:
                raise InvalidRequestError(f"--{told[0].replace('_', '-')} needs --external with the engine's URL.")
            return []
        wishes = {
            "key": None if self.external_key_file is None else _read_key(self.external_key_file),
            "model": self.external_model,
            "weight": self.external_weight,
            "max_in_flight": self.external_limit,
        }
        given = {name: value for name, value in wishes.items() if value is not None}
        return [{"name": engine_name(self.external), "url": self.external, **given}]


def _read_key(file: str) -> str:
    """The key in `file`, or on stdin: an argument would show in every list of processes."""
    try:
        key = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The key cannot be read from {file}: {error}.") from error
    if not key.strip():
        raise InvalidRequestError(f"There is no key in {'what came on stdin' if file == '-' else file}.")
    return key.strip()
