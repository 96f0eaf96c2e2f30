"""The upload API: sessions as JSON resources, their files by the tus protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from orchestrator.api.envelope import envelope
from orchestrator.errors import RoundhouseError
from orchestrator.library.uploads import protocol
from orchestrator.library.uploads.errors import UploadRefusedError
from orchestrator.library.uploads.receiving import CutOffError
from orchestrator.library.uploads.schemas import UploadBody, UploadView
from orchestrator.library.uploads.types import DeclaredFile
from orchestrator.library.uploads.uploads import Uploads
from orchestrator.library.uploads.views import upload_view, upload_views

_NO_STORE = {"cache-control": "no-store"}


class Named(Protocol):
    """Who asks."""

    @property
    def name(self) -> str: ...


def create_router(uploads_of: Callable[..., Uploads], admin_of: Callable[..., Any]) -> APIRouter:
    """Routes below `/uploads`. Both arguments are FastAPI dependencies; `admin_of` refuses whoever is no admin."""
    router = APIRouter(prefix="/uploads", tags=["uploads"], dependencies=[Depends(admin_of)])
    _add_sessions(router, uploads_of, admin_of)
    _add_tus(router, uploads_of)
    return router


def _add_sessions(router: APIRouter, uploads_of: Callable[..., Uploads], admin_of: Callable[..., Any]) -> None:
    UploadsDep = Annotated[Uploads, Depends(uploads_of)]  # noqa: N806 - a type
    AdminDep = Annotated[Named, Depends(admin_of)]  # noqa: N806 - a type

    @router.post("", status_code=201)
    async def create_upload(body: UploadBody, request: Request, uploads: UploadsDep, admin: AdminDep) -> UploadView:
        """Begin to send a revision: says where each file goes, and which need not be sent."""
        files = [DeclaredFile(file.path, file.size_bytes, file.sha256) for file in body.files]
        session = await uploads.create(
            body.name, files, author=admin.name, description=body.description, notes=body.notes
        )
        return await upload_view(uploads, session, _base(request, session.id))

    @router.get("")
    async def list_uploads(request: Request, uploads: UploadsDep) -> list[UploadView]:
        return await upload_views(uploads, [(each, _base(request, each.id)) for each in uploads.sessions()])

    @router.get("/{upload_id}")
    async def read_upload(upload_id: str, request: Request, uploads: UploadsDep) -> UploadView:
        return await upload_view(uploads, uploads.session(upload_id), _base(request, upload_id))

    @router.delete("/{upload_id}", status_code=204)
    async def delete_upload(upload_id: str, uploads: UploadsDep) -> None:
        """Forget the session and all that was sent."""
        await uploads.delete(upload_id)

    @router.post("/{upload_id}/complete")
    async def complete_upload(upload_id: str, request: Request, uploads: UploadsDep) -> UploadView:
        """Close a session whose files are whole and have it verified. Calling it again changes nothing."""
        session = await uploads.complete(upload_id)
        return await upload_view(uploads, session, _base(request, upload_id))


def _add_tus(router: APIRouter, uploads_of: Callable[..., Uploads]) -> None:
    UploadsDep = Annotated[Uploads, Depends(uploads_of)]  # noqa: N806 - a type

    @router.options("/{upload_id}/files", include_in_schema=False)
    async def tus_options(upload_id: str) -> Response:
        return Response(status_code=204, headers=_capabilities())

    @router.post("/{upload_id}/files", status_code=201, response_class=Response)
    async def create_file_upload(upload_id: str, request: Request, uploads: UploadsDep) -> Response:
        """tus creation: `Upload-Metadata` names the declared file by `path`, and may give its `sha256`."""
        return await _answer(request, lambda: _create(upload_id, request, uploads))

    @router.head("/{upload_id}/files/{name}", response_class=Response)
    async def read_file_upload(upload_id: str, name: str, request: Request, uploads: UploadsDep) -> Response:
        """How far a file is."""
        return await _answer(request, lambda: _head(upload_id, name, uploads))

    @router.patch("/{upload_id}/files/{name}", status_code=204, response_class=Response)
    async def append_to_file(upload_id: str, name: str, request: Request, uploads: UploadsDep) -> Response:
        """The next bytes of a file, from `Upload-Offset` on."""
        return await _answer(request, lambda: _append(upload_id, name, request, uploads))

    @router.delete("/{upload_id}/files/{name}", status_code=204, response_class=Response)
    async def drop_file_upload(upload_id: str, name: str, request: Request, uploads: UploadsDep) -> Response:
        """Forget what was sent of a file, so that it can be sent from its beginning."""
        return await _answer(request, lambda: _drop(upload_id, name, uploads))


async def _answer(request: Request, call: Callable[[], Any]) -> Response:
    """What every tus answer carries, refusals included."""
    try:
        protocol.check_version(request.headers)
        response: Response = await call()
    except RoundhouseError as error:
        response = _refusal(error)
        if error.status == 412:
            response.headers["tus-version"] = protocol.VERSION
    response.headers["tus-resumable"] = protocol.VERSION
    return response


async def _create(upload_id: str, request: Request, uploads: Uploads) -> Response:
    headers = request.headers
    metadata = protocol.parse_metadata(headers.get("upload-metadata", ""))
    concat = protocol.parse_concat(headers.get("upload-concat"), uploads.limits.parts)
    path = metadata.get("path") or metadata.get("filename", "")
    if concat is not None and concat.parts is not None:
        name = await uploads.join(upload_id, path, concat.parts)
    elif concat is not None:
        name = await uploads.declare_part(upload_id, protocol.parse_number(headers, "Upload-Length"))
    else:
        size = protocol.parse_number(headers, "Upload-Length") if "upload-length" in headers else None
        name = await uploads.declare(upload_id, path, size, metadata.get("sha256", ""))
    has_body = headers.get("content-type") == protocol.CONTENT_TYPE and headers.get("content-length") != "0"
    # A file that was begun before goes on where it is: the answer's offset says that the body was not taken.
    if has_body and not uploads.place(upload_id, name).offset:
        await _take(upload_id, name, 0, request, uploads)
    answer = _progress(upload_id, name, uploads, 201)
    answer.headers["location"] = f"{_base(request, upload_id)}/files/{name}"
    return answer


async def _head(upload_id: str, name: str, uploads: Uploads) -> Response:
    answer = _progress(upload_id, name, uploads, 200)
    answer.headers["upload-length"] = str(uploads.place(upload_id, name).size_bytes)
    if not name.isdigit():
        answer.headers["upload-concat"] = "partial"
    return answer


async def _append(upload_id: str, name: str, request: Request, uploads: Uploads) -> Response:
    if request.headers.get("content-type") != protocol.CONTENT_TYPE:
        raise UploadRefusedError(415, f"The body must be of type {protocol.CONTENT_TYPE}.", code="content_type")
    await _take(upload_id, name, protocol.parse_number(request.headers, "Upload-Offset"), request, uploads)
    return _progress(upload_id, name, uploads, 204)


async def _drop(upload_id: str, name: str, uploads: Uploads) -> Response:
    await uploads.drop(upload_id, name)
    return Response(status_code=204)


async def _take(upload_id: str, name: str, offset: int, request: Request, uploads: Uploads) -> None:
    length = request.headers.get("content-length", "")
    try:
        await uploads.receive(
            upload_id,
            name,
            offset,
            _body(request, uploads.limits.idle_s),
            body_bytes=int(length) if length.isdigit() else None,
            checksum=protocol.parse_checksum(request.headers.get("upload-checksum")),
        )
    except CutOffError as error:
        raise UploadRefusedError(408, "The request ended early. What came is kept: resume.", code="cut_off") from error


async def _body(request: Request, idle_s: float) -> AsyncIterator[bytes]:
    """Raises CutOffError when the client leaves, or is silent for `idle_s`."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(idle_s):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except (ClientDisconnect, TimeoutError) as error:
            raise CutOffError from error
        yield piece


def _progress(upload_id: str, name: str, uploads: Uploads, status: int) -> Response:
    headers = {
        "upload-offset": str(uploads.place(upload_id, name).offset),
        "upload-expires": protocol.http_date(uploads.expires_at(upload_id)),
    }
    return Response(status_code=status, headers=_NO_STORE | headers)


def _refusal(error: RoundhouseError) -> Response:
    return envelope(error.status, error.message, error.code, headers=_NO_STORE)


def _capabilities() -> dict[str, str]:
    return {
        "tus-resumable": protocol.VERSION,
        "tus-version": protocol.VERSION,
        "tus-extension": protocol.EXTENSIONS,
        "tus-checksum-algorithm": ",".join(protocol.CHECKSUMS),
    }


def _base(request: Request, upload_id: str) -> str:
    """The session's path as the client sees it."""
    return str(request.app.url_path_for("read_upload", upload_id=upload_id))
