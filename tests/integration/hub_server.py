"""A model hub on loopback, as small as the real clients accept: Hugging Face's paths and ModelScope's."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Serves `files` as the model `owner/tiny`; breaks off the first transfer of `cut_file` at its half."""

    files: Mapping[str, bytes]
    cut_file: str = ""
    url: str = ""
    names_commits: bool = True
    asked: set[str] = field(default_factory=set)
    """Revisions that anything was asked for at."""
    served: list[tuple[str, int]] = field(default_factory=list)
    """Path and first byte of every transfer that was asked for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = urlsplit(self.path).path
        revision = _revision(self.path)
        self.hub.asked.add(revision)
        if revision not in ("", "main", "master", "v1", COMMIT):
            self._json({"error": "Invalid rev id", "Code": 404, "Message": "no such revision"}, 404)
        elif path.startswith("/api/models/owner/tiny/tree/"):
            files = self.hub.files.items()
            self._json([{"type": "file", "path": name, "size": len(data), "oid": _sha(data)} for name, data in files])
        elif path.startswith("/api/models/owner/tiny"):
            siblings = [{"rfilename": name, "size": len(data)} for name, data in self.hub.files.items()]
            self._json({"id": "owner/tiny", "sha": COMMIT, "siblings": siblings})
        elif path.startswith("/owner/tiny/resolve/"):
            self._file(path.split("/", 5)[5], with_body)
        elif path == "/api/v1/models/owner/tiny/repo/files":
            files = [
                {
                    "Path": name,
                    "Name": name,
                    "Size": len(data),
                    "Type": "blob",
                    "Sha256": _sha(data),
                    "Revision": COMMIT if self.hub.names_commits else "",
                    "CommittedDate": 1,
                }
                for name, data in self.hub.files.items()
            ]
            self._json({"Code": 200, "Success": True, "Data": {"Files": files}})
        elif path == "/api/v1/models/owner/tiny/repo":
            self._file(parse_qs(urlsplit(self.path).query)["FilePath"][0], with_body)
        elif path.startswith("/api/v1/models/owner/tiny"):
            self._json({"Code": 200, "Success": True, "Data": {"Revision": "master", "RevisionMap": {"Branches": []}}})
        else:
            self._json({"error": "Repository not found", "Code": 10010205001, "Message": "not found"}, 404)

    def _json(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if status == 404:
            self.send_header("x-error-code", "RepoNotFound" if "owner/tiny" not in self.path else "RevisionNotFound")
        self.end_headers()
        self.wfile.write(body)

    def _file(self, name: str, with_body: bool) -> None:
        data = self.hub.files[name]
        first = 0
        wanted = self.headers.get("range", "")
        if wanted.startswith("bytes="):
            first = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("etag", f'"{_sha(data)}"')
        self.send_header("x-repo-commit", COMMIT)
        self.send_header("x-linked-size", str(len(data)))
        self.send_header("accept-ranges", "bytes")
        if first:
            self.send_header("content-range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("content-length", str(len(data) - first))
        self.end_headers()
        if not with_body:
            return
        self.hub.served.append((name, first))
        if name == self.hub.cut_file and not first:
            self.hub.cut_file = ""
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(data[first:])


def _revision(url: str) -> str:
    """The branch, tag or commit that an address asks for; empty where it says none."""
    path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
    parts = path.split("/")
    for before in ("revision", "tree", "resolve"):
        if before in parts[:-1]:
            return parts[parts.index(before) + 1]
    return query.get("Revision", [""])[0]


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def running_hub(files: Mapping[str, bytes], cut_file: str = "") -> Iterator[Hub]:
    hub = Hub(files, cut_file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
