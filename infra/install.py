"""Installs what this machine needs into .venv, builds the web UI and compiles the router:
`python infra/install.py [--with-tests]`.

Runs with nothing but uv and rich installed. Steps whose inputs have not changed are skipped.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
STAMPS = ROOT / ".venv" / "stamps"
UI = ROOT / "admin_ui"
console = Console(stderr=True, soft_wrap=True)


class InstallError(Exception):
    """A step failed; the message says which and what to do."""


def environment() -> dict[str, str]:
    env = dict(os.environ)
    # uv does not look where pip's configuration points.
    if "PIP_FIND_LINKS" in env:
        env.setdefault("UV_FIND_LINKS", env["PIP_FIND_LINKS"])
    # Engines start twice as fast from byte code.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env["PATH"] = f"{BIN}{os.pathsep}{env['PATH']}"
    env["VIRTUAL_ENV"] = str(ROOT / ".venv")
    return env


def has_nvidia_gpu() -> bool:
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


def run(what: str, argv: list[str], cwd: Path = ROOT) -> None:
    done = subprocess.run(argv, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise InstallError(f"{what} failed:\n{tail}\nCheck the network and the package index, then run this again.")


def installs_own_engine() -> bool:
    """True when the user put a vLLM of their own into .venv, which then is left alone."""
    probe = (
        "import importlib.metadata as m, sys\n"
        "try: sys.exit(not m.version('vllm'))\n"
        "except m.PackageNotFoundError: sys.exit(1)"
    )
    return subprocess.run([BIN / "python", "-c", probe], check=False).returncode == 0


def install_packages(kind: str, with_tests: bool) -> None:
    # The stamp comes first: an install that is cut off must not be taken for the user's own engine.
    own = not (STAMPS / "engine").exists() and installs_own_engine()
    if not own:
        STAMPS.mkdir(exist_ok=True)
        (STAMPS / "engine").touch()
    wanted = "." if own else f".[{kind}]"
    argv = [str(BIN / "uv"), "pip", "install", "--python", str(BIN / "python"), "--compile-bytecode"]
    argv += ["-c", f"infra/constraints-{kind}.txt", "--group", "build", "-e", wanted]
    if with_tests:
        argv += ["--group", "test"]
    argv += ["--override", f"infra/overrides-{kind}.txt"]
    run("Installing the packages", argv)


def build_ui() -> None:
    npm = str(BIN / "npm")
    run("Installing the web UI's packages", [npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"], UI)
    run("Building the web UI", [npm, "run", "build"], UI)
    # The router serves these as they are; it has better things to do than to compress.
    for path in files(UI / "dist"):
        if path.stat().st_size > 1024:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def compile_router() -> None:
    """What cannot be compiled runs as it is: slower, but it runs."""
    argv = [str(BIN / "python"), "infra/compile_router.py"]
    done = subprocess.run(argv, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        told = (done.stdout + done.stderr).strip().splitlines()
        why = told[-1] if told else "no C compiler was found"
        console.print(
            f"[yellow]The router runs interpreted, at about half its speed: {why}. With a C compiler and Python's "
            "headers (Debian, Ubuntu: apt install gcc python3-dev) the next start compiles it.[/]",
            highlight=False,
        )


def files(folder: Path, skip: Iterable[str] = ()) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not set(path.relative_to(folder).parts) & set(skip)
    )


def fingerprint(inputs: Iterable[Path], *more: str) -> str:
    digest = hashlib.sha256("\n".join(more).encode())
    for path in inputs:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def step(title: str, name: str, mark: str, result: Path, act: Callable[[], None]) -> bool:
    """Run `act` unless it ran with the same inputs before. Returns whether it ran."""
    stamp = STAMPS / name
    if stamp.is_file() and stamp.read_text() == mark and result.exists():
        return False
    columns = (TextColumn("[bold cyan]▸[/] {task.description}"), BarColumn(), TimeElapsedColumn())
    started = time.monotonic()
    if console.is_terminal:
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(title, total=None)
            act()
    else:
        console.print(f"{title} ...", highlight=False)
        act()
    console.print(f"[green]✓[/] {title}: {time.monotonic() - started:.0f} s", highlight=False)
    STAMPS.mkdir(exist_ok=True)
    stamp.write_text(mark)
    return True


def main() -> int:
    with_tests = "--with-tests" in sys.argv[1:]
    kind = "gpu" if has_nvidia_gpu() else "cpu"
    lists = [ROOT / "pyproject.toml", ROOT / f"infra/constraints-{kind}.txt", ROOT / f"infra/overrides-{kind}.txt"]
    packages = fingerprint(lists, kind, str(ROOT))
    title = (
        f"Packages for {'NVIDIA GPUs' if kind == 'gpu' else 'the CPU'} (about {'5 min' if kind == 'gpu' else '1 min'})"
    )
    # With the test tools in it, the environment also serves; a plain `up` after `test` installs nothing.
    name = "packages" if not with_tests and not (STAMPS / "packages-tests").exists() else "packages-tests"
    try:
        step(title, name, packages, BIN / "roundhouse", lambda: install_packages(kind, name == "packages-tests"))
        with ThreadPoolExecutor() as beside:
            sources = [*files(ROOT / "router", skip=("__pycache__",)), ROOT / "replicas/types.py"]
            compiled = beside.submit(compile_router)
            ui = files(UI, skip=("node_modules", "dist"))
            step("Web page (about 20 s)", "ui", fingerprint(ui), UI / "dist" / "index.html", build_ui)
            step("Router (about 1 min)", "router", fingerprint(sources), BIN / "python", compiled.result)
    except InstallError as error:
        console.print(f"[bold red]Error:[/] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
