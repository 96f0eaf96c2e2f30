"""How long a client goes on when a server does not answer."""

from collections.abc import Callable

import httpx

from orchestrator.errors import HostError
from orchestrator.library.uploads.errors import UploadRefusedError

_TRANSIENT = frozenset({408, 423, 500, 502, 503, 504})
"""Answers after which the same may succeed: another request still writes, or somebody restarts."""
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0


class Patience:
    """Bounded by the time without any progress, not by the number of tries."""

    def __init__(self, patience_s: float, url: str, now: Callable[[], float], wait: Callable[[float], object]) -> None:
        self._patience_s = patience_s
        self._url = url
        self._now = now
        self._wait = wait
        self.renew()

    def renew(self) -> None:
        """Something was achieved: the clock starts afresh."""
        self._since = self._now()
        self._next_wait_s = _FIRST_WAIT_S

    def attempt(self, call: Callable[[], httpx.Response]) -> httpx.Response | None:
        """The answer; None after a wait if it is worth another try.

        Raises UploadRefusedError when the server means no, and HostError at the end of patience.
        """
        try:
            answer = call()
        except httpx.TransportError as error:
            self._pause(str(error) or type(error).__name__)
            return None
        if answer.is_success:
            return answer
        refusal = refusal_of(answer)
        if answer.status_code not in _TRANSIENT and refusal.code != "wrong_offset":
            raise refusal
        self._pause(refusal.message)
        return None

    def _pause(self, why: str) -> None:
        if self._now() - self._since > self._patience_s:
            raise HostError(
                f"{self._url} has not taken anything for {self._patience_s:.0f} s ({why}). What arrived is kept: push "
                "again to go on."
            )
        self._wait(self._next_wait_s)
        self._next_wait_s = min(_LONGEST_WAIT_S, self._next_wait_s * 2)


def refusal_of(answer: httpx.Response) -> UploadRefusedError:
    """The server's own sentence."""
    try:
        error = answer.json()["error"]
        return UploadRefusedError(answer.status_code, str(error["message"]), code=error.get("code"))
    except (ValueError, KeyError, TypeError):
        return UploadRefusedError(answer.status_code, f"The server answered {answer.status_code}: {answer.text[:200]}")
