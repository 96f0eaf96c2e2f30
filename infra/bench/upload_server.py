"""The upload routes of the orchestrator and nothing else: `python -m infra.bench.upload_server FOLDER PORT`."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from orchestrator.library.uploads.routes import create_router
from orchestrator.library.uploads.types import Session
from orchestrator.library.uploads.uploads import Uploads
from replicas.weights.contents import Contents
from replicas.weights.manifest import Manifest


@dataclass(frozen=True)
class Admin:
    """Whoever asks."""

    name: str = "bench"


async def _run(folder: Path, port: int) -> None:
    contents = Contents(folder / "library")

    async def received(session: Session, staging: Path, manifest: Manifest) -> None:
        await asyncio.to_thread(contents.publish, staging, manifest)
        await uploads.finish(session.id)

    uploads = Uploads(folder / "uploads", contents, received)
    await uploads.start()
    app = FastAPI()
    app.include_router(create_router(lambda: uploads, Admin), prefix="/api/v1")
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False)).serve()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), int(sys.argv[2])))
