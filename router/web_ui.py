"""The built web UI, from a folder."""

import mimetypes
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_MISSING_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Roundhouse</title>
<p>The web UI is not built here. Run <code>infra/up</code> in the repository: it builds the UI and starts everything.
<p>The API works all the same: <code>GET /v1/models</code>, <code>POST /v1/chat/completions</code>.
"""


class WebUI:
    """Serves files; every other path without a dot is a page of the single-page app."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: StaticFiles | None = None

    async def page(self, request: Request) -> Response:
        """The answer to a GET or HEAD. 404 for a file that is not there."""
        files = self._open()
        if files is None:
            return _secured(HTMLResponse(_MISSING_PAGE, status_code=503), "no-store")
        path = request.path_params["path"]
        is_file = "." in path.rpartition("/")[2]
        if not is_file:
            path = "index.html"
        try:
            answer = await self._file(files, path, request)
        except HTTPException:
            return _secured(PlainTextResponse("Not found.\n", status_code=404), "no-store")
        immutable = path.startswith("assets/") and answer.status_code in (200, 206, 304)
        return _secured(answer, "public, max-age=31536000, immutable" if immutable else "no-cache")

    async def _file(self, files: StaticFiles, path: str, request: Request) -> Response:
        """The file, or the compressed form that the build left beside it: compressing here would hold up requests."""
        accepts = "gzip" in request.headers.get("accept-encoding", "")
        if not accepts or self._folder is None or not (self._folder / f"{path}.gz").is_file():
            return await files.get_response(path, request.scope)
        answer = await files.get_response(f"{path}.gz", request.scope)
        answer.headers["content-type"] = mimetypes.guess_type(path)[0] or "application/octet-stream"
        answer.headers["content-encoding"] = "gzip"
        answer.headers["vary"] = "Accept-Encoding"
        return answer

    def _open(self) -> StaticFiles | None:
        # At each request until it is there: the UI may be built after the router has started.
        if self._files is None and self._folder is not None and (self._folder / "index.html").is_file():
            self._files = StaticFiles(directory=self._folder)
        return self._files


def _secured(answer: Response, cache: str) -> Response:
    answer.headers.update(_SECURITY_HEADERS)
    answer.headers["cache-control"] = cache
    return answer
