"""Sends a model folder to a Roundhouse: resumes by itself after cuts and restarts, and skips what is there already."""

import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from msgspec import Struct

from orchestrator.errors import ModelRejectedError
from orchestrator.library.adopt import files_of, hash_file
from orchestrator.library.uploads.declaration import ARCHIVE_SUFFIXES
from orchestrator.library.uploads.errors import UploadRefusedError
from orchestrator.library.uploads.patience import Patience
from orchestrator.library.uploads.protocol import CHECKSUM_MISMATCH, CONTENT_TYPE, VERSION
from orchestrator.library.uploads.source_file import SourceFile

_TRIES_OF_A_FILE = 3
_TUS = {"tus-resumable": VERSION}
_TIMEOUT = httpx.Timeout(600, connect=10)
"""An answer may take as long as it takes to read back and hash a large file, or to unpack an archive."""


class PushProgress(Struct, frozen=True, kw_only=True):
    """Given from several threads, some times a second."""

    path: str
    """The file at hand."""
    hashing: bool
    """It is only being read, to see whether it need be sent."""
    done_bytes: int
    """Of all files: arrived, or there already."""
    total_bytes: int


class Pushed(Struct, frozen=True, kw_only=True):
    """What became of it."""

    upload_id: str
    revision: str
    total_bytes: int
    sent_bytes: int
    """That went over the wire, what had to be sent again included."""


class Push:
    """One folder or archive on its way to the admin API at `url` (`…/api/v1`). Use as a context manager.

    Raises UploadRefusedError (the server says no, `message` is its own sentence), ModelRejectedError (nothing to send,
    or a file changed meanwhile) and HostError (not reached for `patience_s` on end; a later push goes on from there).
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        progress: Callable[[PushProgress], None] = lambda _: None,
        patience_s: float = 300,
        chunk_bytes: int = 256 * 2**20,
        parallel: int = 2,
    ) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(headers=dict(headers), timeout=_TIMEOUT, trust_env=False)
        self._origin = httpx.URL(self._url).copy_with(path="/")
        self._progress = progress
        self._chunk_bytes = chunk_bytes
        self._parallel = parallel
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._sent_bytes = 0
        self._total_bytes = 0
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def run(self, source: Path, name: str, *, description: str = "", notes: str = "") -> Pushed:
        """Send everything below `source` (or the archive `source`); returns once all is there and handed on."""
        files = _files(source)
        sizes = {path: file.stat().st_size for path, file in files.items()}
        self._total_bytes = sum(sizes.values())
        session = self._begin(name, sizes, description, notes)
        hashes = self._send_all(session, files)
        differing = self._differing(session["id"], hashes)
        if differing:
            raise _changes(differing[0])
        done = self._call("POST", f"{self._url}/uploads/{session['id']}/complete").json()
        return Pushed(
            upload_id=session["id"],
            revision=done["revision"],
            total_bytes=self._total_bytes,
            sent_bytes=self._sent_bytes,
        )

    def _begin(self, name: str, sizes: Mapping[str, int], description: str, notes: str) -> dict[str, Any]:
        """A session that an earlier push began with these files, or a new one."""
        files = [{"path": path, "size_bytes": size} for path, size in sizes.items()]
        body = {"name": name, "files": files, "description": description, "notes": notes}
        patience = self._patience()
        while True:
            # Looked for again after a cut, too: the answer may have been lost, not the request.
            for session in self._call("GET", f"{self._url}/uploads").json():
                declared = {file["path"]: file["size_bytes"] for file in session["files"]}
                if session["name"] == name and session["state"] == "receiving" and declared == sizes:
                    found: dict[str, Any] = session
                    return found
            answer = patience.attempt(lambda: self._http.post(f"{self._url}/uploads", json=body))
            if answer is not None:
                begun: dict[str, Any] = answer.json()
                return begun

    def _send_all(self, session: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, str]:
        """SHA-256 of each file as it was read here."""
        with ThreadPoolExecutor(self._parallel, "push") as threads:
            # Large files first, so that none is left to one thread at the end.
            rows = sorted(session["files"], key=lambda row: -int(row["size_bytes"]))
            tasks = {row["path"]: threads.submit(self._send, row, files[row["path"]]) for row in rows}
            try:
                return {path: task.result() for path, task in tasks.items()}
            except BaseException:
                self._stopped.set()
                for task in tasks.values():
                    task.cancel()
                raise

    def _send(self, row: Mapping[str, Any], file: Path) -> str:
        """Bring one file over, and again if it arrived damaged; its SHA-256."""
        path, url = str(row["path"]), str(self._origin.join(row["upload_url"]))
        if row["present"] or row["known_size"]:
            sha256 = hash_file(file, lambda _: self._tell(path, 0, hashing=True))
            if row["sha256"] == sha256 and row["present"]:
                self._tell(path, row["size_bytes"])
                return sha256
            if row["present"]:  # an earlier push sent another content of the same size
                self._call("DELETE", url, headers=_TUS)
            elif self._declare(url, path, row["size_bytes"], sha256) == row["size_bytes"]:
                self._tell(path, row["size_bytes"])
                return sha256
        for _ in range(_TRIES_OF_A_FILE):
            source = SourceFile(path, file, row["size_bytes"])
            try:
                self._transfer(url, source)
            except UploadRefusedError as error:
                if error.status != CHECKSUM_MISMATCH:
                    raise
                continue
            sha256 = source.sha256()
            session_url, _, number = url.rpartition("/files/")
            arrived = self._call("GET", session_url).json()["files"][int(number)]
            if not arrived["present"] or arrived["sha256"] == sha256:
                return sha256
            self._call("DELETE", url, headers=_TUS)
        raise _changes(path)

    def _declare(self, url: str, path: str, size: int, sha256: str) -> int:
        """Say what the file hashes to; how much of it is there then."""
        metadata = f"path {_base64(path)},sha256 {_base64(sha256)}"
        headers = _TUS | {"upload-length": str(size), "upload-metadata": metadata}
        return int(self._call("POST", url.rpartition("/")[0], headers=headers).headers["upload-offset"])

    def _transfer(self, url: str, source: SourceFile) -> None:
        """Send what is missing, however often the connection is cut. Raises UploadRefusedError and HostError."""
        patience, offset = self._patience(), self._offset(url)
        while True:
            answer = patience.attempt(partial(self._patch, url, source, offset))
            if answer is not None:
                self._tell(source.path, now := int(answer.headers["upload-offset"]))
                if now == source.size_bytes:
                    return
            else:
                now = self._offset(url)
            if now > offset:
                patience.renew()
            offset = now

    def _patch(self, url: str, source: SourceFile, offset: int) -> httpx.Response:
        end = min(source.size_bytes, offset + self._chunk_bytes)
        headers = {"upload-offset": str(offset), "content-type": CONTENT_TYPE, "content-length": str(end - offset)}
        pieces = source.pieces(offset, end, partial(self._count, source.path))
        return self._http.patch(url, headers=_TUS | headers, content=pieces)

    def _offset(self, url: str) -> int:
        return int(self._call("HEAD", url, headers=_TUS).headers["upload-offset"])

    def _differing(self, upload_id: str, hashes: Mapping[str, str]) -> list[str]:
        files = self._call("GET", f"{self._url}/uploads/{upload_id}").json()["files"]
        return [file["path"] for file in files if file["present"] and file["sha256"] != hashes[file["path"]]]

    def _call(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Ask until there is an answer. Raises UploadRefusedError and HostError."""
        patience = self._patience()
        while True:
            answer = patience.attempt(lambda: self._http.request(method, url, **options))
            if answer is not None:
                return answer

    def _patience(self) -> Patience:
        return Patience(self._patience_s, self._url, time.monotonic, self._wait)

    def _wait(self, seconds: float) -> None:
        self._stopped.wait(seconds)
        self._check_stopped()

    def _check_stopped(self) -> None:
        """Another file failed: this one need not go on."""
        if self._stopped.is_set():
            raise CancelledError

    def _count(self, path: str, offset: int, piece_bytes: int) -> None:
        self._check_stopped()
        with self._lock:
            self._sent_bytes += piece_bytes
        self._tell(path, offset)

    def _tell(self, path: str, offset: int, *, hashing: bool = False) -> None:
        with self._lock:
            self._done[path] = offset
            done = sum(self._done.values())
        self._progress(PushProgress(path=path, hashing=hashing, done_bytes=done, total_bytes=self._total_bytes))


def _files(source: Path) -> dict[str, Path]:
    if source.is_file() and source.name.lower().endswith(ARCHIVE_SUFFIXES):
        return {source.name: source}
    if not source.is_dir():
        raise ModelRejectedError(f"There is no folder {source}, nor an archive of that name. Check the path.")
    files = {path.relative_to(source).as_posix(): path for path in files_of(source)}
    if not files:
        raise ModelRejectedError(f"{source} holds no file. Give the folder that holds config.json and the weights.")
    return files


def _changes(path: str) -> ModelRejectedError:
    return ModelRejectedError(f"{path} arrives differently each time. Does something write to it? Push it again.")


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
