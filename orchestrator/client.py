"""A client of the admin API, for the CLI and for `up`."""

from types import TracebackType
from typing import Any, Self

import httpx

from orchestrator.errors import HostError, RoundhouseError


class ApiError(RoundhouseError):
    """The API refused; `message` is its own sentence."""

    def __init__(self, message: str, *, status: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


class AdminClient:
    """Calls `/api/v1` of the Roundhouse at `url`. Raises ApiError (refused) and HostError (not reached)."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self.authorization = {"authorization": f"Bearer {key}"}
        self._http = httpx.Client(
            base_url=self.url + "/api/v1", headers=self.authorization, timeout=30, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call("POST", path, body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("PUT", path, body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("PATCH", path, body)

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def public_models(self) -> dict[str, str]:
        """Status by name of the models that clients see, as the router tells them."""
        return {each["id"]: each["status"] for each in self._call("GET", f"{self.url}/v1/models")["data"]}

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """`path` is one of the admin API's, or a whole URL."""
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise HostError(
                f"Roundhouse does not answer at {self.url} ({error}). `roundhouse up` starts it; `roundhouse status` "
                "shows whether it runs."
            ) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _refusal(answer)


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        error = answer.json()["error"]
        return ApiError(error["message"], status=answer.status_code, code=error.get("code"))
    except (ValueError, KeyError, TypeError):
        return ApiError(f"The server answered {answer.status_code}: {answer.text[:200]}", status=answer.status_code)
