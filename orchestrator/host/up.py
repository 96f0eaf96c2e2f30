"""`roundhouse up`: from nothing to a model that answers, then until it is told to stop."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.client import AdminClient, ApiError
from orchestrator.errors import HostError, ModelRejectedError, RoundhouseError
from orchestrator.host import checks, processes
from orchestrator.host.devices import best_device, gpus
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
from orchestrator.library.folder import examine
from orchestrator.library.sources import BUILTIN_SMOLLM2, DEFAULT_GPU_MODEL, SourceKind, parse_source

_POLL_S = 0.3
SIMULATED_NAME = "simulated"


async def run(home: Home, options: UpOptions, report: Callable[[Event], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises RoundhouseError when it cannot start; nothing is left running then."""
    home.prepare()
    lock = home.lock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    processes.adopt_orphans()
    # What an earlier `up` left when it was killed hard.
    await asyncio.to_thread(processes.end, processes.marked(home.root))
    _check_machine(home, options)
    _check_model(options)
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
    watch = asyncio.create_task(house.watch())
    await stop.wait()
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def _check_machine(home: Home, options: UpOptions) -> None:
    ports = [(options.host, options.port), (options.ops_host, options.ops_port)]
    found = checks.examine(home, ports, running=False, engine_needed=not options.simulated)
    problems = [check for check in found if check.level is checks.Level.PROBLEM]
    if problems:
        raise HostError(" ".join(f"{check.name}: {check.found}. {check.advice}" for check in problems))


def _check_model(options: UpOptions) -> None:
    """Refuse what cannot be a model before anything is started."""
    if options.model is not None and not options.simulated:
        source = parse_source(options.model)
        if source.kind is SourceKind.FOLDER:
            examine(Path(source.id))


async def _start(house: House, home: Home, options: UpOptions, report: Callable[[Event], None]) -> None:
    known = read_timings(home.timings)
    await house.start(lambda stage: known.get(stage, EXPECTED_S[stage]))
    key = home.admin_key.read_text().strip()
    with AdminClient(options.local_url, key) as api:
        ray = asyncio.create_task(_wait_for_ray(house, api, report))
        try:
            name, is_new = await _ensure_deployment(house, api, options, report, known.get(Stage.MODEL))
            await ray
        finally:
            ray.cancel()
        if name is not None:
            try:
                await _wait_until_ready(house, api, name, report, known.get(Stage.ENGINE))
            except ModelRejectedError:
                if is_new:
                    await _forget(api, name)
                raise
        token = (await asyncio.to_thread(api.post, "/login-links"))["token"]
    report(
        Ready(
            url=options.local_url,
            login_url=f"{options.local_url}/login#token={token}",
            model=name or "",
            simulated=options.simulated,
            no_auth=options.no_auth,
        )
    )


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


async def _ensure_deployment(
    house: House,
    api: AdminClient,
    options: UpOptions,
    report: Callable[[Event], None],
    model_s: float | None,
) -> tuple[str | None, bool]:
    """Deploy what was asked for; with no wish, what was deployed before, or else the default model.

    Returns the deployment to wait for, and whether it is new.
    """
    report(StageStarted(Stage.MODEL, time.time(), EXPECTED_S[Stage.MODEL] if model_s is None else model_s))
    present = await asyncio.to_thread(api.get, "/deployments")
    before = {each["name"] for each in present}
    if options.simulated:
        name = options.name or SIMULATED_NAME
        await asyncio.to_thread(api.put, f"/deployments/{name}", {"engine": "simulated", **_wishes(options)})
        report(StageFinished(Stage.MODEL, time.time(), "simulated: answers are made up"))
        return name, name not in before
    if options.model is None and present:
        wanted = next((each["name"] for each in present if each["replicas"]), None)
        report(StageFinished(Stage.MODEL, time.time(), f"{len(present)} deployed before"))
        return wanted, False
    source = parse_source(await asyncio.to_thread(_default_source) if options.model is None else options.model)
    model = await asyncio.to_thread(api.post, "/models", {"source": source.text, "name": options.name or source.name})
    model = await _wait_for_model(house, api, model, report)
    name = str(model["name"])
    await asyncio.to_thread(api.put, f"/deployments/{name}", {"model": name, **_wishes(options)})
    report(StageFinished(Stage.MODEL, time.time(), f"{name}, {model['size_bytes'] / 2**20:.0f} MiB"))
    return name, name not in before


def _default_source() -> str:
    return f"hf:{DEFAULT_GPU_MODEL}" if gpus() and best_device().memory_bytes > 20 * 2**30 else BUILTIN_SMOLLM2


def _wishes(options: UpOptions) -> dict[str, Any]:
    wishes = {
        "replicas": options.replicas,
        "gpus_per_replica": options.gpus_per_replica,
        "max_model_len": options.max_model_len,
    }
    return {name: value for name, value in wishes.items() if value is not None}


async def _wait_for_model(
    house: House, api: AdminClient, model: dict[str, Any], report: Callable[[Event], None]
) -> dict[str, Any]:
    path = f"/models/{model['name']}"
    while model["state"] in ("receiving", "verifying"):
        progress = model["progress"]
        if progress is not None:
            report(_advance(Stage.MODEL, progress))
        house.require_running()
        await asyncio.sleep(_POLL_S)
        model = await asyncio.to_thread(api.get, path)
    if model["state"] == "rejected":
        # A first start that could not get its model leaves no trace of it.
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
    house: House, api: AdminClient, name: str, report: Callable[[Event], None], engine_s: float | None
) -> None:
    report(StageStarted(Stage.ENGINE, time.time(), EXPECTED_S[Stage.ENGINE] if engine_s is None else engine_s))
    while True:
        try:
            deployment = await asyncio.to_thread(api.get, f"/deployments/{name}")
        except ApiError as error:
            raise HostError(f"{name} was undeployed while it started. {error.message}") from error
        if deployment["ready_replicas"]:
            report(StageFinished(Stage.ENGINE, time.time(), f"{name} answers"))
            return
        if deployment["state"] == "failed":
            raise ModelRejectedError(f"{name} cannot be served: {deployment['reason']}")
        report(StageAdvanced(Stage.ENGINE, time.time(), deployment["reason"], left_s=deployment["eta_s"]))
        house.require_running()
        await asyncio.sleep(_POLL_S)


async def _forget(api: AdminClient, name: str) -> None:
    """Take back a deployment that could not start: the next `up` must not stumble over it again."""
    try:
        await asyncio.to_thread(api.delete, f"/deployments/{name}")
        await asyncio.to_thread(api.delete, f"/models/{name}")
    except RoundhouseError:
        return  # the reason why it failed is worth more than that it could not be taken back
