"""A real server process around the upload routes, which can end itself at any step of its work."""

import asyncio
import errno
import multiprocessing
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from msgspec import Struct

from orchestrator.errors import RoundhouseError
from orchestrator.library.uploads.routes import create_router
from orchestrator.library.uploads.types import Session, UploadLimits
from orchestrator.library.uploads.uploads import Uploads
from replicas.weights.contents import Contents
from replicas.weights.intake import write_all
from replicas.weights.manifest import Manifest

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.integration.upload_server"])


class Disaster(Struct, frozen=True):
    """How a server process goes wrong."""

    kill_at: str = ""
    """The step at which it is killed,"""
    count: int = 1
    """when it is reached for this time."""
    full_from_byte: int | None = None
    """Writes to a file beyond it fail as on a full disk."""


class Admin(Struct, frozen=True):
    name: str = "admin"


def library_app(root: Path, limits: UploadLimits, disaster: Disaster) -> tuple[FastAPI, Uploads]:
    """An app that publishes what it receives, unverified."""
    steps: dict[str, int] = {}

    def reached(step: str) -> None:
        steps[step] = steps.get(step, 0) + 1
        if step == disaster.kill_at and steps[step] == disaster.count:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(descriptor: int, pieces: Sequence[bytes], offset: int) -> None:
        if disaster.full_from_byte is not None and offset + sum(map(len, pieces)) > disaster.full_from_byte:
            os.pwrite(descriptor, pieces[0][:100], offset)  # some of it still fits
            raise OSError(errno.ENOSPC, "No space left on device")
        write_all(descriptor, pieces, offset)

    contents = Contents(root / "library", reached=reached)
    contents.sweep()

    async def received(session: Session, staging: Path, manifest: Manifest) -> None:
        await asyncio.to_thread(contents.publish, staging, manifest)
        await uploads.finish(session.id)

    uploads = Uploads(root / "uploads", contents, received, limits=limits, reached=reached, write=write)
    app = FastAPI()
    app.include_router(create_router(lambda: uploads, Admin), prefix="/api/v1")

    @app.exception_handler(RoundhouseError)
    async def answer(_: Request, error: RoundhouseError) -> JSONResponse:
        return JSONResponse({"error": {"message": error.message, "code": error.code}}, error.status)

    return app, uploads


def serve(root: Path, port: int, limits: UploadLimits, disaster: Disaster) -> None:
    """Runs until it is killed."""

    async def run() -> None:
        app, uploads = library_app(root, limits, disaster)
        await uploads.start()
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
        await uvicorn.Server(config).serve()

    asyncio.run(run())


class UploadServer:
    """The process, on one port for good."""

    def __init__(self, root: Path, limits: UploadLimits | None = None) -> None:
        self.root = root
        self.limits = limits or UploadLimits(reserve_bytes=0)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self.contents = Contents(root / "library")
        self.ends = 0
        """How often it was killed, or ended itself."""
        self._process: BaseProcess | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def start(self, disaster: Disaster | None = None) -> None:
        """Returns once it takes connections, or has ended."""
        arguments = (self.root, self.port, self.limits, disaster or Disaster())
        self._process = _PROCESSES.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        while self._process.is_alive():
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except ConnectionError:
                self._process.join(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
            self.ends += 1

    def restart_when_dead(self, between: Callable[[], None]) -> threading.Thread:
        """Waits for the process' end, calls `between` and starts it again, without a disaster."""
        process = self._process
        assert process is not None

        def watch() -> None:
            process.join()
            self.ends += 1
            between()
            self.start()

        thread = threading.Thread(target=watch)
        thread.start()
        return thread

    def rss_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)
