"""What each key has used since that was last written to the store. PURE."""

from msgspec import Struct

from router.answer import Learnt
from router.job import Job
from router.types import Credential


class Use(Struct):
    """Of one key."""

    requests: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0

    def add(self, other: "Use") -> None:
        """Both together, in this one."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.generated_tokens += other.generated_tokens


class KeyUse:
    """Plain numbers that one thread adds to, and takes away to write them down."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[str, Use] = {}

    def note(self, credential: Credential, job: Job | None, learnt: Learnt) -> None:
        """One request ended. What a session uses, the key has used that opened it."""
        key_id = credential.parent or credential.id
        use = self._by_key.get(key_id)
        if use is None:
            use = self._by_key[key_id] = Use()
        use.requests += 1
        if job is not None:
            use.prompt_tokens += learnt.prompt_tokens or job.prompt_tokens
            use.generated_tokens += learnt.output_tokens

    def take(self) -> dict[str, Use]:
        """By id of the key, what was noted since the last time."""
        taken, self._by_key = self._by_key, {}
        return taken

    def give_back(self, taken: dict[str, Use]) -> None:
        """It could not be written: it is taken again the next time."""
        for key_id, use in taken.items():
            self._by_key.setdefault(key_id, Use()).add(use)
