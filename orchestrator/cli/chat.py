"""`roundhouse chat`: a conversation in the terminal, over the same public API that every client uses."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import typer

from orchestrator.cli.output import connect, console
from orchestrator.client import AdminClient
from orchestrator.errors import HostError


def chat(
    message: Annotated[str | None, typer.Argument(help="One question; without it a conversation begins.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to ask; the first ready one without it.")] = None,
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="Sampling temperature.")] = None,
) -> None:
    """Chat with a model."""
    with connect() as api, httpx.Client(trust_env=False, timeout=httpx.Timeout(30, read=None)) as http:
        headers = api.authorization
        name = model or _first_ready(http, api, headers)
        messages: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []
        while True:
            text = message or _ask(name)
            if not text:
                return
            messages.append({"role": "user", "content": text})
            body: dict[str, Any] = {"model": name, "messages": messages, "stream": True}
            if temperature is not None:
                body["temperature"] = temperature
            answer = ""
            for piece in _stream(http, f"{api.url}/v1/chat/completions", headers, body):
                answer += piece
                typer.echo(piece, nl=False)
            typer.echo()
            messages.append({"role": "assistant", "content": answer})
            if message:
                return


def _ask(name: str) -> str:
    try:
        return str(console.input(f"[bold]{name}[/] › ")).strip()
    except (EOFError, KeyboardInterrupt):
        return ""


def _first_ready(http: httpx.Client, api: AdminClient, headers: dict[str, str]) -> str:
    try:
        answer = http.get(f"{api.url}/v1/models", headers=headers)
    except httpx.HTTPError as error:
        raise HostError(f"Roundhouse does not answer at {api.url}: {error}.") from error
    if not answer.is_success:
        raise HostError(answer.json()["error"]["message"])
    ready = [each["id"] for each in answer.json()["data"] if each["status"] == "ready"]
    if not ready:
        raise HostError("No model is ready. `roundhouse status` shows what is on its way.")
    return str(ready[0])


def _stream(http: httpx.Client, url: str, headers: dict[str, str], body: dict[str, Any]) -> Iterator[str]:
    """Pieces of the answer as they come. Raises HostError with the server's own sentence."""
    try:
        with http.stream("POST", url, headers=headers, json=body) as response:
            if not response.is_success:
                response.read()
                raise HostError(response.json()["error"]["message"])
            for line in response.iter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                event = json.loads(line[6:])
                if "error" in event:
                    raise HostError(event["error"]["message"])
                for choice in event["choices"]:
                    yield choice["delta"].get("content") or ""
    except httpx.HTTPError as error:
        raise HostError(f"The connection broke: {error}. `roundhouse status` shows what runs.") from error
