"""How every refusal of the admin API looks."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse

from orchestrator.api.sentence_schemas import SentenceView
from orchestrator.sentences import Sentence


def envelope(
    status: int,
    message: str | Sentence,
    code: str,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The OpenAI form, as the router's own refusals have it, and the message in parts where pages can say it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    sentence = SentenceView.of(message).model_dump() if isinstance(message, Sentence) else None
    error = {"message": str(message), "type": kind, "param": param, "code": code, "sentence": sentence}
    return JSONResponse({"type": "error", "error": error}, status_code=status, headers=headers)
