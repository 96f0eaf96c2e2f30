"""Open WebUI as its users run it: the package from PyPI in an environment of its own, a home of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from orchestrator.host.home import free_ports
from tests.e2e.house import until

PACKAGE = "open-webui==0.12.4"
NOT_INSTALLED = ("torch", "sentence-transformers")
"""5 GB with which it would embed documents by itself. The rest of it does not need them."""
SETTINGS = {
    "ENABLE_OLLAMA_API": "false",
    "DEFAULT_MODEL_PARAMS": '{"function_calling": "legacy"}',
    "BYPASS_MODEL_ACCESS_CONTROL": "true",
    "OPENAI_API_CONFIGS": '{"0": {"headers": {"x-roundhouse-session": "{{CHAT_ID}}", "x-roundhouse-progress": "1"}}}',
}
"""What docs/guides/open-webui.md says to set, besides URL and key."""
WITHOUT_HUBS = {"OFFLINE_MODE": "true", "RAG_EMBEDDING_ENGINE": "openai"}


def cache() -> Path:
    """Where what is slow to install outlives a test run."""
    return Path(os.environ.get("ROUNDHOUSE_TEST_CACHE", Path(tempfile.gettempdir()) / "roundhouse-test-cache"))


def _environment() -> dict[str, str]:
    """Ours, with byte code: without it every start takes a minute longer."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def installed() -> Path:
    """The `open-webui` command, installed at the first call: 1.5 GB."""
    folder = cache() / PACKAGE
    command, complete = folder / "bin" / "open-webui", folder / "complete"
    if not complete.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        # uv does not look where pip's configuration points.
        found_by_pip = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in os.environ else {}
        env = _environment() | found_by_pip
        subprocess.run([uv, "venv", "--clear", "--python", sys.executable, str(folder)], env=env, check=True)
        left_out = folder / "left_out.txt"
        left_out.write_text("".join(f'{name} ; python_version < "3"\n' for name in NOT_INSTALLED))
        install = [uv, "pip", "install", "--python", str(folder / "bin" / "python"), "--override", str(left_out)]
        subprocess.run([*install, PACKAGE], env=env, check=True)
        complete.touch()
    return command


class OpenWebui:
    """One that runs, seen by its first user, who is its admin."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=120)
        account = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery"}
        self._admit(self.http, self._post("/api/v1/auths/signup", account))

    @staticmethod
    def _admit(http: httpx.Client, account: dict[str, Any]) -> None:
        http.headers["authorization"] = f"Bearer {account['token']}"

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def member(self) -> httpx.Client:
        """The client of a user who is not an admin."""
        account = {"name": "Bob", "email": "bob@example.com", "password": "correct horse battery", "role": "user"}
        http = httpx.Client(base_url=self.http.base_url, trust_env=False, timeout=60)
        self._admit(http, self._post("/api/v1/auths/add", account))
        return http

    def models(self, http: httpx.Client | None = None) -> dict[str, dict[str, Any]]:
        """What the model selector offers, by id."""
        return {each["id"]: each for each in (http or self.http).get("/api/models").json()["data"]}

    def stream(self, model: str, text: str = "Hello", chat_id: str = "") -> list[str]:
        """The lines of a streamed answer, without empty ones."""
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}], "chat_id": chat_id}
        answer = self.http.post("/api/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        return [line for line in answer.text.splitlines() if line]

    def chat_page(self, model: str, text: str) -> dict[str, Any]:
        """The answer's message in a new chat, asked for as the page does: by a session, which gets it by socket."""
        user_id, answer_id = str(uuid4()), str(uuid4())
        message = {"id": user_id, "parentId": None, "role": "user", "content": text, "models": [model]}
        body = {
            "model": model,
            "stream": True,
            "messages": [{"role": "user", "content": text}],
            "session_id": "a-page",
            "parent_id": None,
            "user_message": message,
            "message_ids": [{"model_id": model, "message_id": answer_id}],
        }
        chat_id = self._post("/api/chat/completions", body)["chat_id"]

        def answered() -> dict[str, Any] | None:
            chat = self.http.get(f"/api/v1/chats/{chat_id}").json()["chat"]
            told: dict[str, Any] = chat["history"]["messages"][answer_id]
            return told if told.get("done") else None

        return until(answered, 60, "the answer in the chat")


def said(lines: list[str]) -> tuple[str, list[str]]:
    """The model that a stream names and its pieces of text."""
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    pieces = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    return chunks[0]["model"], [piece for piece in pieces if piece]


@contextmanager
def open_webui(home: Path, base_url: str, key: str) -> Iterator[OpenWebui]:
    """Open WebUI on a free port of loopback, which finds its models at `base_url`."""
    (port,) = free_ports("127.0.0.1", 1)
    url, log = f"http://127.0.0.1:{port}", home / "open-webui.log"
    asked = {"OPENAI_API_BASE_URL": base_url, "OPENAI_API_KEY": key, "DATA_DIR": str(home)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(installed()), "serve", "--host", "127.0.0.1", "--port", str(port)],
            cwd=home,  # it keeps a secret in its working directory
            env=_environment() | SETTINGS | WITHOUT_HUBS | asked,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_healthy(process, url, log)
        yield OpenWebui(url)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            httpx.get(f"{url}/health", trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"Open WebUI did not start: {log.read_text()[-3000:]}")
