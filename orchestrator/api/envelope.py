"""How every refusal of the admin API looks."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse


def envelope(
    status: int, message: str, code: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The OpenAI form, as the router's own refusals have it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"type": "error", "error": error}, status_code=status, headers=headers)
