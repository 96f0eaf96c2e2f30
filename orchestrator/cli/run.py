"""`up`, `down`, `doctor`, `login`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from orchestrator.cli.node_labels import NodeLabels, labels_of
from orchestrator.cli.output import AsJson, connect, console, show
from orchestrator.errors import HostError, InvalidRequestError, RoundhouseError
from orchestrator.host import checks, processes
from orchestrator.host.display import Display
from orchestrator.host.home import Home
from orchestrator.host.options import UpOptions
from orchestrator.host.progress import Event, Failed, Ready, Stage, StageView, initial, read_timings, write_timings
from orchestrator.host.up import run as run_up

_STAGES = (Stage.STORE, Stage.RAY, Stage.MODEL, Stage.ENGINE)
_STOP_S = 90.0
_UI_DIR = Path(__file__).parents[2] / "admin_ui" / "dist"


def up(
    host: Annotated[str, typer.Option(help="Address of the public port; 0.0.0.0 for every interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Public port: API and web page.", min=1, max=65535)] = 8000,
    ops_host: Annotated[str, typer.Option(help="Address of the ops port (/metrics, /ready).")] = "127.0.0.1",
    ops_port: Annotated[int, typer.Option(help="Ops port.", min=1, max=65535)] = 9000,
    workers: Annotated[
        int, typer.Option(help="Router processes on the public port; each has an ops port, counted up.", min=1, max=64)
    ] = 1,
    node_address: Annotated[
        str, typer.Option(help="Address at which other machines of the cluster reach this one.")
    ] = "127.0.0.1",
    label: NodeLabels = None,
    model: Annotated[
        str | None, typer.Option(help="A model folder, or an id: OWNER/NAME, hf:OWNER/NAME, modelscope:OWNER/NAME.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Public name of the model.")] = None,
    engine: Annotated[
        Literal["vllm", "simulated"], typer.Option(help="`simulated` makes answers up; for trying things out.")
    ] = "vllm",
    max_model_len: Annotated[int | None, typer.Option(help="Context length in tokens.", min=16)] = None,
    gpus: Annotated[float | None, typer.Option(help="GPUs per replica; 0 serves on the CPU.", min=0)] = None,
    replicas: Annotated[int | None, typer.Option(help="Number of replicas.", min=0)] = None,
    store_url: Annotated[
        str | None,
        typer.Option(help="redis:// or rediss:// URL of a store of your own.", envvar="ROUNDHOUSE_STORE_URL"),
    ] = None,
    insecure_no_auth: Annotated[
        bool, typer.Option("--insecure-no-auth", help="Let everyone in. On loopback only.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when ready and go on in the background.")
    ] = False,
) -> None:
    """Start everything and serve a model. Ctrl-C stops all of it."""
    if insecure_no_auth and host not in ("127.0.0.1", "localhost", "::1"):
        raise InvalidRequestError("--insecure-no-auth works on loopback only. Leave out --host, or keep the keys.")
    options = UpOptions(
        host=host,
        port=port,
        ops_host=ops_host,
        ops_port=ops_port,
        workers=workers,
        node_address=node_address,
        labels=labels_of(label or []),
        model=model,
        name=name,
        simulated=engine == "simulated",
        max_model_len=max_model_len,
        gpus_per_replica=gpus,
        replicas=replicas,
        store_url=store_url,
        no_auth=insecure_no_auth,
        ui_dir=_UI_DIR,
        install_s=float(os.environ.get("ROUNDHOUSE_INSTALL_S", 0)) or None,
    )
    home = Home.of_environment()
    if os.environ.get("ROUNDHOUSE_DETACHED"):
        _run_in_background(home, options)
    elif detach:
        _detach(home, options)
    else:
        _run_in_foreground(home, options)


def _first_views(home: Home, options: UpOptions) -> dict[Stage, StageView]:
    views = initial(_STAGES, read_timings(home.timings))
    if options.install_s is None:
        return views
    return {Stage.INSTALL: StageView("done", took_s=options.install_s), **views}


def _run_in_foreground(home: Home, options: UpOptions) -> None:
    with Display(console, _first_views(home, options)) as display:

        def report(event: Event) -> None:
            display(event)
            if isinstance(event, Ready):
                display.close()
                write_timings(home.timings, display.views)
                _print_ready(home, event)

        asyncio.run(run_up(home, options, report))
    console.print("Stopped.")


def _run_in_background(home: Home, options: UpOptions) -> None:
    """The detached half: the same run, its events written for the terminal that waits."""
    home.prepare()
    with home.progress.open("wb", buffering=0) as file:

        def report(event: Event) -> None:
            file.write(msgspec.json.encode(event) + b"\n")

        try:
            asyncio.run(run_up(home, options, report))
        except RoundhouseError as error:
            report(Failed(error.message))
            raise


def _detach(home: Home, options: UpOptions) -> None:
    home.prepare()
    if home.is_locked():
        home.lock()  # says who has it
    home.progress.unlink(missing_ok=True)
    with (home.logs / "up.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *sys.argv[1:]],
            env={**os.environ, "ROUNDHOUSE_DETACHED": "1"},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    with Display(console, _first_views(home, options)) as display:
        try:
            outcome = _follow(home.progress, child, display)
        except KeyboardInterrupt:
            child.send_signal(signal.SIGTERM)
            child.wait()
            raise
        if isinstance(outcome, Ready):
            write_timings(home.timings, display.views)
    if isinstance(outcome, Failed):
        child.wait()
        raise HostError(outcome.message)
    _print_ready(home, outcome)


def _follow(path: Path, child: "subprocess.Popen[bytes]", show_event: Callable[[Event], None]) -> Ready | Failed:
    """Pass on events as the child writes them, until it is ready or has failed."""
    position, rest = 0, b""
    while True:
        ended = child.poll() is not None
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                chunk = file.read()
            position += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = msgspec.json.decode(line, type=Event)
                if isinstance(event, Ready | Failed):
                    return event
                show_event(event)
        if ended:
            return Failed(f"The start ended without a reason. See {path.parents[1] / 'logs' / 'up.log'}.")
        time.sleep(0.1)


def _print_ready(home: Home, ready: Ready) -> None:
    out = Console(soft_wrap=True, highlight=False)
    key = home.admin_key.read_text().strip()
    if ready.simulated:
        out.print("\n[bold black on yellow] SIMULATED ENGINE [/] answers are made up; no model is running.")
    if ready.no_auth:
        out.print("\n[bold black on yellow] NO AUTHENTICATION [/] everyone on this machine is admin.")
    if ready.problem:
        out.print(f"\n[bold red]Not served:[/] {escape(ready.problem)} Mend it on the admin page or with `roundhouse`.")
    out.print(f"\n[bold green]Ready.[/] {ready.url}")
    out.print(f"Log in once with   {ready.login_url}")
    out.print(f"Admin key          {home.admin_key}")
    if ready.model:
        body = {"model": ready.model, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
        out.print("\nTry it:", style="dim")
        out.print(
            f"curl {ready.url}/v1/chat/completions -H 'Authorization: Bearer {key}' "
            f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'",
            markup=False,
        )
    out.print("")


def down() -> None:
    """Stop what `up` started from this home."""
    home = Home.of_environment()
    owner = home.owner()
    if owner is not None:
        console.print("Stopping: requests in flight may end first.")
        with suppress(ProcessLookupError):
            os.kill(owner, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while home.is_locked() and time.monotonic() < deadline:
            time.sleep(0.1)
        if home.is_locked():
            raise HostError(f"Process {owner} did not stop within {_STOP_S:.0f} s. See {home.logs / 'up.log'}.")
    left = processes.marked(home)
    processes.end(left)
    home.clear_instance()
    if owner is None and not left:
        console.print(f"Nothing runs from {home.root}.")
    else:
        console.print("Stopped.")


def doctor(
    host: Annotated[str, typer.Option(help="Address of the public port.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Public port.")] = 8000,
    ops_port: Annotated[int, typer.Option(help="Ops port.")] = 9000,
    as_json: AsJson = False,
) -> None:
    """Name what is wrong on this machine, and what to do."""
    home = Home.of_environment()
    found = checks.examine(home, [(host, port), ("127.0.0.1", ops_port)], running=home.is_locked())
    rows = [msgspec.to_builtins(check) for check in found]
    marks = {"ok": Text("✓", "green"), "warning": Text("!", "yellow"), "problem": Text("✗", "red")}
    show(
        rows,
        [
            ("", lambda row: marks[row["level"]]),
            ("check", lambda row: row["name"]),
            ("found", lambda row: row["found"]),
            ("what to do", lambda row: row["advice"]),
        ],
        as_json,
        "",
    )
    if any(check.level is checks.Level.PROBLEM for check in found):
        raise typer.Exit(1)


def login() -> None:
    """Print a new one-time login link for a browser."""
    with connect() as api:
        token = api.post("/login-links")["token"]
        typer.echo(f"{api.url}/login#token={token}")
