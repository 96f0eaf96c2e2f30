"""A model hub on loopback, as small as the real clients accept: Hugging Face's paths and ModelScope's."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Listed:
    """A model that a search may find."""

    id: str
    task: str = "text-generation"
    tags: tuple[str, ...] = ("safetensors",)
    licence: str = "apache-2.0"
    parameters: int = 1000
    downloads: int = 0
    likes: int = 0
    gated: bool = False
    updated: str = "2026-05-01T12:00:00.000Z"


@dataclass
class Hub:
    """Serves `files` as the model `owner/tiny`; breaks off the first transfer of `cut_file` at its half."""

    files: Mapping[str, bytes]
    cut_file: str = ""
    catalogue: tuple[Listed, ...] = ()
    """In the order of their relevance to any words."""
    answers: threading.Event = field(default_factory=threading.Event)
    """A search is answered once it is set, as it is from the beginning."""
    search_status: int = 200
    searched: list[str] = field(default_factory=list)
    """Words of every search."""
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
        query = parse_qs(urlsplit(self.path).query)
        if path in ("/api/models", "/openapi/v1/models"):
            self._search(query, self._hugging_face if path == "/api/models" else self._modelscope)
        elif revision not in ("", "main", "master", "v1", COMMIT):
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
            listed = [
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
            self._json({"Code": 200, "Success": True, "Data": {"Files": listed}})
        elif path == "/api/v1/models/owner/tiny/repo":
            self._file(query["FilePath"][0], with_body)
        elif path.startswith("/api/v1/models/owner/tiny"):
            self._json({"Code": 200, "Success": True, "Data": {"Revision": "master", "RevisionMap": {"Branches": []}}})
        else:
            self._json({"error": "Repository not found", "Code": 10010205001, "Message": "not found"}, 404)

    def _search(self, query: dict[str, list[str]], answer: Callable[..., object]) -> None:
        words = query["search"][0]
        self.hub.searched.append(words)
        self.hub.answers.wait()
        if self.hub.search_status != 200:
            self._json({"error": "not today", "message": "not today"}, self.hub.search_status)
            return
        found = [each for each in self.hub.catalogue if all(word in each.id.lower() for word in words.lower().split())]
        self._json(answer(found, query))

    def _hugging_face(self, found: list[Listed], query: dict[str, list[str]]) -> list[dict[str, Any]]:
        """Of each model what was asked for, and what is always told."""
        if query.get("sort") == ["downloads"]:
            found = sorted(found, key=lambda each: -each.downloads)
        return [
            {
                key: value
                for key, value in {
                    "id": each.id,
                    "modelId": each.id,
                    "pipeline_tag": each.task or None,
                    "tags": [*each.tags, f"license:{each.licence}"],
                    "safetensors": {"parameters": {"BF16": each.parameters}, "total": each.parameters},
                    "downloads": each.downloads,
                    "likes": each.likes,
                    "lastModified": each.updated,
                    "gated": "manual" if each.gated else False,
                }.items()
                if key in ("id", "modelId", *query.get("expand", []))
            }
            for each in found
            if set(query.get("filter", [])) <= set(each.tags)
        ][: int(query["limit"][0])]

    def _modelscope(self, found: list[Listed], query: dict[str, list[str]]) -> dict[str, Any]:
        page = [
            {
                "id": each.id,
                "tasks": [each.task] if each.task else [],
                "tags": list(each.tags),
                "license": each.licence,
                "downloads": each.downloads,
                "likes": each.likes,
                "last_modified": each.updated,
                "gated": each.gated,
            }
            for each in found[: int(query["page_size"][0])]
        ]
        told = {"models": page, "total_count": len(found), "page_number": 1, "page_size": len(page)}
        return {"success": True, "data": told}

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
def running_hub(files: Mapping[str, bytes], cut_file: str = "", catalogue: tuple[Listed, ...] = ()) -> Iterator[Hub]:
    hub = Hub(files, cut_file, catalogue)
    hub.answers.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        hub.answers.set()
        server.shutdown()
        thread.join()
