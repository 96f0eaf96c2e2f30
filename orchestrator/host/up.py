"""`roundhouse up`: from nothing to a model that answers, then until it is told to stop."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from orchestrator.client import AdminClient
from orchestrator.errors import HostError, InvalidRequestError, ModelRejectedError, RoundhouseError
from orchestrator.host import checks, processes
from orchestrator.host.home import Home
from orchestrator.host.house import House
from orchestrator.host.options import UpOptions
from orchestrator.host.progress import (
    EXPECTED_S,
    Event,
    Ready,
    Stage,
    StageAdvanced,
    StageFinished,
    StageStarted,
    read_timings,
)
from orchestrator.library.folder import look
from orchestrator.library.sources import BUILTIN_SMOLLM2, DEFAULT_GPU_MODEL, SourceKind, parse_source
from orchestrator.library.verification.verify import verify
from replicas.devices import gpus

_POLL_S = 0.3
SIMULATED_NAME = "simulated"


async def run(home: Home, options: UpOptions, report: Callable[[Event], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises RoundhouseError when it cannot start; nothing is left running then."""
    home.prepare()
    lock = home.lock()
    home.clear_instance()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    processes.adopt_orphans()
    # What an earlier `up` left when it was killed hard.
    await asyncio.to_thread(processes.end, processes.marked(home))
    _check_machine(home, options)
    await _check_model(options)
    await asyncio.to_thread(home.prune_ray_sessions)
    house = House(home, options, report)
    try:
        await _start_or_stop(house, home, options, report, stop)
        if not stop.is_set():
            await _serve(house, stop)
    finally:
        await house.stop()
        del lock  # the descriptor itself is released with the process, after everything is gone


async def _start_or_stop(
    house: House, home: Home, options: UpOptions, report: Callable[[Event], None], stop: asyncio.Event
) -> None:
    """Start, unless someone asks to stop before that is done."""
    start = asyncio.create_task(_start(house, home, options, report))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({start, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not start.done():
        start.cancel()
    try:
        await start
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


async def _serve(house: House, stop: asyncio.Event) -> None:
    watch, stopped = asyncio.create_task(house.watch()), asyncio.create_task(stop.wait())
    await asyncio.wait({watch, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if watch.done():
        watch.result()  # says why nobody watches any more
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def _check_machine(home: Home, options: UpOptions) -> None:
    found = checks.examine(home, options.listens_on, running=False, engine_needed=not options.simulated)
    problems = [check for check in found if check.level is checks.Level.PROBLEM]
    if problems:
        raise HostError(" ".join(f"{check.name}: {check.found}. {check.advice}" for check in problems))


async def _check_model(options: UpOptions) -> None:
    """Refuse what cannot be a model before anything is started."""
    if options.model is not None and not options.simulated:
        source = parse_source(options.model)
        if source.kind is SourceKind.FOLDER:
            await look(Path(source.id), verify)


async def _start(house: House, home: Home, options: UpOptions, report: Callable[[Event], None]) -> None:
    known = read_timings(home.timings)
    await house.start(lambda stage: known.get(stage, EXPECTED_S[stage]))
    key = home.admin_key.read_text().strip()
    problem = ""
    with AdminClient(options.local_url, key) as api:
        # Weights are fetched while Ray starts; what is deployed depends on the GPUs that Ray finds.
        ray = asyncio.create_task(_wait_for_ray(house, api, report))
        try:
            wish = await _bring_weights(house, api, options, report, known.get(Stage.MODEL))
            await ray
        finally:
            ray.cancel()
        await _deploy(api, wish)
        if wish.names:
            report(StageStarted(Stage.ENGINE, time.time(), known.get(Stage.ENGINE, EXPECTED_S[Stage.ENGINE])))
            try:
                await _wait_until_ready(house, api, wish.names, report)
            except ModelRejectedError as error:
                if wish.is_new:
                    await _forget(api, wish)
                    raise
                # What was deployed before is the admin's to mend, with the pages and commands that run by now.
                problem = error.message
                report(StageFinished(Stage.ENGINE, time.time(), "failed"))
        token = (await asyncio.to_thread(api.post, "/login-links"))["token"]
    report(
        Ready(
            url=options.local_url,
            login_url=f"{options.local_url}/login#token={token}",
            model=wish.names[0] if wish.names and not problem else "",
            simulated=options.simulated,
            no_auth=options.no_auth,
            problem=problem,
        )
    )


class _Wish(Struct, frozen=True, kw_only=True):
    """What this run shall serve."""

    names: tuple[str, ...]
    """Deployments, any of which is good enough to be ready."""
    body: dict[str, Any] | None = None
    """What to deploy under the first name; None leaves everything as it is."""
    is_new: bool = False
    """Whether the deployment is this run's own, to be taken back when it cannot start."""
    new_model: bool = False


async def _wait_for_ray(house: House, api: AdminClient, report: Callable[[Event], None]) -> None:
    while True:
        system = await asyncio.to_thread(api.get, "/system")
        if system["ray_connected"]:
            break
        house.require_running()
        await asyncio.sleep(_POLL_S)
    gpus_found = system["gpus"]
    report(
        StageFinished(Stage.RAY, time.time(), f"{gpus_found:g} GPUs" if gpus_found else "no GPU, serving on the CPU")
    )


async def _bring_weights(
    house: House, api: AdminClient, options: UpOptions, report: Callable[[Event], None], model_s: float | None
) -> _Wish:
    """Find out what to serve: what was asked for; else what was deployed before; else the default model."""
    report(StageStarted(Stage.MODEL, time.time(), EXPECTED_S[Stage.MODEL] if model_s is None else model_s))
    before = {each["name"]: each for each in await asyncio.to_thread(api.get, "/deployments")}
    if options.simulated:
        report(StageFinished(Stage.MODEL, time.time(), "simulated: answers are made up"))
        name = options.name or SIMULATED_NAME
        return _Wish(
            names=(name,), body=_body(options, before.get(name), {"engine": "simulated"}), is_new=name not in before
        )
    if options.model is None and before:
        if options.name or _wishes(options):
            raise InvalidRequestError(
                "Models are deployed here already. Say which one you mean with --model, or use `roundhouse scale` and "
                "`roundhouse deploy` once it runs."
            )
        report(StageFinished(Stage.MODEL, time.time(), f"{len(before)} deployed before"))
        return _Wish(names=tuple(name for name, each in before.items() if each["replicas"]))
    source = parse_source(await asyncio.to_thread(_default_source) if options.model is None else options.model)
    name = options.name or source.name
    known = {each["name"] for each in await asyncio.to_thread(api.get, "/models")}
    model = await asyncio.to_thread(api.post, "/models", {"source": source.text, "name": name, "only_if_missing": True})
    model = await _wait_for_model(house, api, model, report, is_new=name not in known)
    report(StageFinished(Stage.MODEL, time.time(), f"{name}, {model['size_bytes'] / 2**20:.0f} MiB"))
    body = _body(options, before.get(name), {"model": name})
    return _Wish(names=(name,), body=body, is_new=name not in before, new_model=name not in known)


def _body(options: UpOptions, before: dict[str, Any] | None, what: dict[str, Any]) -> dict[str, Any]:
    """What to deploy: this run's wishes over what an admin set before."""
    kept = {} if before is None else _kept(before, what.get("engine", "vllm"))
    return {**kept, **what, **_wishes(options)}


def _kept(before: dict[str, Any], engine: str) -> dict[str, Any]:
    """What a deployment's view says of it, as the body of the next one. Keys of engines outside stay as they are.

    Not what another engine had, nor that it was scaled to zero: whoever starts this model wants it served.
    """
    kept = {name: before[name] for name in ("drain_deadline_s", "routing", "scaling", "placement", "node_labels")}
    if before["engine"] == engine:
        kept |= {name: before[name] for name in ("gpus_per_replica", "engine_args", "simulation", "sleep_mode")}
        kept["max_model_len"] = before["asked_max_model_len"]
        if before["replicas"] and before["scaling"] is None:
            kept["replicas"] = before["replicas"]
    external = [{name: value for name, value in each.items() if name != "has_key"} for each in before["external"]]
    return {**kept, "external": external}


async def _deploy(api: AdminClient, wish: _Wish) -> None:
    if wish.body is not None:
        await asyncio.to_thread(api.put, f"/deployments/{wish.names[0]}", wish.body)


def _default_source() -> str:
    largest_bytes = max((gpu.memory_bytes for gpu in gpus()), default=0)
    return f"hf:{DEFAULT_GPU_MODEL}" if largest_bytes > 20 * 2**30 else BUILTIN_SMOLLM2


def _wishes(options: UpOptions) -> dict[str, Any]:
    wishes = {
        "replicas": options.replicas,
        "gpus_per_replica": options.gpus_per_replica,
        "max_model_len": options.max_model_len,
    }
    return {name: value for name, value in wishes.items() if value is not None}


async def _wait_for_model(
    house: House, api: AdminClient, model: dict[str, Any], report: Callable[[Event], None], *, is_new: bool
) -> dict[str, Any]:
    path = f"/models/{model['name']}"
    while model["progress"] is not None:
        report(_advance(Stage.MODEL, model["progress"]))
        house.require_running()
        await asyncio.sleep(_POLL_S)
        model = await asyncio.to_thread(api.get, path)
    if model["state"] != "ready":
        if is_new:  # a start that could not get its model leaves no trace of it
            with suppress(RoundhouseError):
                await asyncio.to_thread(api.delete, path)
        raise ModelRejectedError(model["reason"])
    return model


def _advance(stage: Stage, progress: dict[str, Any]) -> StageAdvanced:
    done, total = progress["done"], progress["total"]
    detail = progress["phase"]
    if progress["unit"] == "bytes" and total:
        detail += f", {done / 2**30:.2f} of {total / 2**30:.2f} GiB"
    return StageAdvanced(stage, time.time(), detail, done, total, progress["eta_s"])


async def _wait_until_ready(
    house: House, api: AdminClient, names: tuple[str, ...], report: Callable[[Event], None]
) -> None:
    """Return when one of `names` answers. Raises ModelRejectedError when all of them have failed."""
    while True:
        found = [each for each in await asyncio.to_thread(api.get, "/deployments") if each["name"] in names]
        ready = [each["name"] for each in found if each["ready_replicas"]]
        if ready:
            report(StageFinished(Stage.ENGINE, time.time(), f"{', '.join(ready)} answers"))
            return
        trying = [each for each in found if each["state"] != "failed"]
        if not trying:
            reasons = [f"{each['name']} cannot be served: {each['reason']}" for each in found]
            raise ModelRejectedError(" ".join(reasons) or "What should be served was undeployed while it started.")
        report(StageAdvanced(Stage.ENGINE, time.time(), trying[0]["reason"], left_s=trying[0]["eta_s"]))
        house.require_running()
        await asyncio.sleep(_POLL_S)


async def _forget(api: AdminClient, wish: _Wish) -> None:
    """Take back what could not start: the next `up` must not stumble over it. Models from before are kept."""
    # The reason why it failed is worth more than that it could not be taken back.
    with suppress(RoundhouseError):
        await asyncio.to_thread(api.delete, f"/deployments/{wish.names[0]}")
        if wish.new_model:
            await asyncio.to_thread(api.delete, f"/models/{wish.names[0]}")
