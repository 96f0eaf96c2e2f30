"""`deploy`, `undeploy`."""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from orchestrator.cli.model import follow_import
from orchestrator.cli.options import takes_option_groups
from orchestrator.cli.output import connect, console, path_of
from orchestrator.cli.routing_options import ExternalOptions, RoutingOptions
from orchestrator.cli.scaling_options import PlacementOptions, ScalingOptions
from orchestrator.client import AdminClient
from orchestrator.errors import HostError, InvalidRequestError, ModelRejectedError
from orchestrator.library.sources import parse_source

_ANSWERED_WITHIN_S = 15.0


@dataclass(frozen=True)
class EngineOptions:
    """What replicas of our own are; fields are named as in the API."""

    replicas: Annotated[
        int | None, typer.Option(min=0, help="Number of replicas; 1 without it, or where the load decides as before.")
    ] = None
    gpus_per_replica: Annotated[
        float | None, typer.Option("--gpus", min=0, help="GPUs per replica; 0 serves on the CPU.")
    ] = None
    revision: Annotated[
        str | None, typer.Option(help="Digest of one of the model's revisions; left out: the newest.")
    ] = None
    max_model_len: Annotated[int | None, typer.Option(min=16, help="Context length in tokens.")] = None
    engine: Annotated[
        Literal["vllm", "simulated", "external"],
        typer.Option(help="`simulated` makes answers up; `external` has no replicas, only --external."),
    ] = "vllm"
    engine_args: Annotated[str, typer.Option(help="Further vLLM arguments as a JSON object.")] = "{}"
    even_if_too_large: Annotated[bool, typer.Option("--anyway", help="Try also what cannot fit by the estimate.")] = (
        False
    )
    sleep_mode: Annotated[
        bool,
        typer.Option(
            "--sleep-mode/--no-sleep-mode",
            help="Let replicas that are not needed sleep: weights in the host's memory, GPUs free, awake in seconds.",
        ),
    ] = False
    drain_deadline_s: Annotated[
        float, typer.Option("--drain-deadline", min=0, help="Seconds that requests may take to end on a stop.")
    ] = 60

    def body(self) -> dict[str, Any]:
        """Their part of a deployment's body."""
        return dataclasses.asdict(self) | {"engine_args": _json_object(self.engine_args)}


@takes_option_groups
def deploy(
    model: Annotated[
        str,
        typer.Argument(
            help="A model of the library, or a folder or id that is imported first. Any name with --engine simulated "
            "or external."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Public name that clients use.")] = None,
    wait: Annotated[bool, typer.Option(help="Return when it can be used.")] = True,
    *,
    own: EngineOptions,
    scaling: ScalingOptions,
    placement: PlacementOptions,
    routing: RoutingOptions,
    outside: ExternalOptions,
) -> None:
    """Serve a model under a public name. What is left out has its default, also where a deployment is changed."""
    body = own.body() | placement.body()
    body |= {"scaling": scaling.body(), "routing": routing.body(), "external": outside.body()}
    with connect() as api:
        alone = body["engine"] == "vllm" and body["external"] and not _is_ours(api, model)
        if alone:
            body["engine"] = "external"
        if body["engine"] == "vllm":
            model = body["model"] = _in_library(api, model, name)
        public = name or model
        deployed = api.put(path_of("deployments", public), body)
        if alone:
            console.print(f"The library has no model {model}: the engine outside alone serves it.")
        if wait and deployed["replicas"]:
            _wait_until_ready(api, public)
        elif wait and deployed["external"]:
            _wait_until_answered(api, public)
        else:
            console.print(f"{public} is on its way.")


def _is_ours(api: AdminClient, model: str) -> bool:
    """Whether `model` is in the library, or is what an import would take."""
    if any(each["name"] == model for each in api.get("/models")):
        return True
    try:
        parse_source(model)
    except InvalidRequestError:
        return False
    return True


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"--engine-args is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequestError("--engine-args must be a JSON object, like '{\"max_num_seqs\": 16}'.")
    return value


def _in_library(api: AdminClient, model: str, name: str | None) -> str:
    """The name in the library, after an import if `model` is a folder or an id."""
    if any(each["name"] == model for each in api.get("/models")):
        return model
    source = str(Path(model).resolve()) if Path(model).is_dir() else model
    imported = follow_import(api, api.post("/models", {"source": source, "name": name, "only_if_missing": True}))
    return str(imported["name"])


def _wait_until_ready(api: AdminClient, name: str) -> None:
    with console.status("starting") as display:
        while True:
            deployment = api.get(path_of("deployments", name))
            if deployment["ready_replicas"]:
                break
            if deployment["state"] == "failed":
                raise ModelRejectedError(f"{name} cannot be served: {deployment['reason']}")
            left = deployment["eta_s"]
            display.update(deployment["reason"] + (f", about {left:.0f} s left" if left else ""))
            time.sleep(0.3)
    console.print(f"{name} is ready.")


def _wait_until_answered(api: AdminClient, name: str) -> None:
    """Return once a router has an answer of the engines outside. Raises HostError when there is none in time."""
    deadline = time.monotonic() + _ANSWERED_WITHIN_S
    with console.status("asking the engine"):
        while api.public_models().get(name) != "ready":
            if time.monotonic() > deadline:
                raise HostError(
                    f"{name} is deployed, but the engine outside has not answered yet. It is asked every few seconds. "
                    "Check that it runs, the URL (up to and including /v1) and the key; then deploy again or wait."
                )
            time.sleep(0.3)
    console.print(f"{name} is ready.")


def undeploy(
    name: str, wait: Annotated[bool, typer.Option(help="Return when all replicas have drained.")] = True
) -> None:
    """Stop serving a model. Requests in flight end first."""
    with connect() as api:
        drain_s = 3600.0
        api.delete(path_of("deployments", name))
        deadline = time.monotonic() + drain_s
        while wait and any(each["deployment"] == name for each in api.get("/replicas")):
            if time.monotonic() > deadline:
                raise HostError(f"{name} still drains. `roundhouse status` shows its replicas.")
            time.sleep(0.2)
    console.print(f"{name} is not served any more.")
