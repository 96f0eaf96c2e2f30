"""Uploads in a real folder with an app around them, for tests."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from orchestrator.errors import AccessDeniedError, RoundhouseError, StoreUnavailableError
from orchestrator.library.uploads.routes import create_router
from orchestrator.library.uploads.types import Session, UploadLimits
from orchestrator.library.uploads.uploads import Uploads
from replicas.weights.contents import Contents
from replicas.weights.manifest import Manifest

MIB = 2**20
TUS = {"tus-resumable": "1.0.0"}
PATCH = TUS | {"content-type": "application/offset+octet-stream"}
DATA = bytes(range(256)) * 20_000


class Named:
    name = "admin"


class KilledError(Exception):
    """Stands for the end of the process."""


class House:
    """Uploads with a clock of the test's, an app around them, and what was handed over."""

    def __init__(self, root: Path, **limits: Any) -> None:
        self.clock = 1e9
        self.contents = Contents(root / "library")
        self.root = root / "uploads"
        self.limits = UploadLimits(reserve_bytes=0, **limits)
        self.handed_over: list[tuple[Session, Path, Manifest]] = []
        self.refuses_to_take_over = False
        self.killed_at = ""
        self.uploads = self.make()
        app = FastAPI()
        app.include_router(create_router(lambda: self.uploads, self._admin), prefix="/api/v1")
        app.add_exception_handler(RoundhouseError, _answer)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x/api/v1")

    def make(self) -> Uploads:
        return Uploads(
            self.root, self.contents, self._received, limits=self.limits, now=lambda: self.clock, reached=self._reached
        )

    def _reached(self, step: str) -> None:
        if step == self.killed_at:
            self.killed_at = ""
            raise KilledError

    async def restart(self) -> None:
        self.uploads = self.make()
        await self.uploads.start()

    async def begin(self, *files: tuple[str, bytes, bool]) -> str:
        rows = [
            {"path": path, "size_bytes": len(data), "sha256": sha256(data).hexdigest() if declared else ""}
            for path, data, declared in files
        ]
        answer = await self.http.post("/uploads", json={"name": "tiny", "files": rows})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def patch(self, id_: str, name: str, offset: int, content: Any, **headers: str) -> httpx.Response:
        url = f"/uploads/{id_}/files/{name}"
        return await self.http.patch(url, headers=PATCH | {"upload-offset": str(offset)} | headers, content=content)

    async def head(self, id_: str, name: str) -> httpx.Response:
        return await self.http.head(f"/uploads/{id_}/files/{name}", headers=TUS)

    async def complete(self, id_: str) -> httpx.Response:
        return await self.http.post(f"/uploads/{id_}/complete")

    async def part(self, id_: str, content: bytes) -> str:
        headers = TUS | {"upload-concat": "partial", "upload-length": str(len(content))}
        answer = await self.http.post(f"/uploads/{id_}/files", headers=headers)
        assert answer.status_code == 201
        name = str(answer.headers["location"].rpartition("/")[2])
        assert (await self.patch(id_, name, 0, content)).status_code == 204
        return name

    async def join(self, id_: str, path: str, *parts: str) -> httpx.Response:
        urls = " ".join(f"/api/v1/uploads/{id_}/files/{part}" for part in parts)
        metadata = f"path {b64encode(path.encode()).decode()}"
        headers = TUS | {"upload-concat": f"final;{urls}", "upload-metadata": metadata}
        return await self.http.post(f"/uploads/{id_}/files", headers=headers)

    async def _received(self, session: Session, staging: Path, manifest: Manifest) -> None:
        if self.refuses_to_take_over:
            raise StoreUnavailableError("The store is away.")
        self.handed_over.append((session, staging, manifest))

    def _admin(self, request: Request) -> Named:
        if request.headers.get("x-user"):
            raise AccessDeniedError("This needs an admin key.", status=403)
        return Named()


async def _answer(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RoundhouseError)
    return JSONResponse({"error": {"message": error.message, "code": error.code}}, error.status)
