"""`deploy`, `undeploy`, `scale`."""

import json
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from orchestrator.cli.model import follow_import
from orchestrator.cli.output import connect, console, path_of
from orchestrator.client import AdminClient
from orchestrator.errors import HostError, InvalidRequestError, ModelRejectedError


def deploy(
    model: Annotated[
        str,
        typer.Argument(
            help="A model of the library, or a folder or id that is imported first. Any name with --engine simulated."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Public name that clients use.")] = None,
    replicas: Annotated[int, typer.Option(min=0, help="Number of replicas.")] = 1,
    gpus: Annotated[float | None, typer.Option(min=0, help="GPUs per replica; 0 serves on the CPU.")] = None,
    max_model_len: Annotated[int | None, typer.Option(min=16, help="Context length in tokens.")] = None,
    engine: Annotated[Literal["vllm", "simulated"], typer.Option(help="`simulated` makes answers up.")] = "vllm",
    engine_args: Annotated[str, typer.Option(help="Further vLLM arguments as a JSON object.")] = "{}",
    drain_deadline: Annotated[float, typer.Option(min=0, help="Seconds that requests may take to end on a stop.")] = 60,
    wait: Annotated[bool, typer.Option(help="Return when a replica is ready.")] = True,
) -> None:
    """Serve a model under a public name."""
    body: dict[str, Any] = {
        "engine": engine,
        "replicas": replicas,
        "gpus_per_replica": gpus,
        "max_model_len": max_model_len,
        "engine_args": _json_object(engine_args),
        "drain_deadline_s": drain_deadline,
    }
    with connect() as api:
        if engine == "vllm":
            model = body["model"] = _in_library(api, model, name)
        public = name or model
        api.put(path_of("deployments", public), body)
        if wait and replicas:
            _wait_until_ready(api, public)
        else:
            console.print(f"{public} is on its way.")


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
    imported = follow_import(api, api.post("/models", {"source": source, "name": name}))
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


def scale(name: str, replicas: Annotated[int, typer.Argument(min=0)]) -> None:
    """Set the number of replicas."""
    with connect() as api:
        api.post(path_of("deployments", name, "scale"), {"replicas": replicas})
    console.print(f"{name}: {replicas} replicas wanted.")
