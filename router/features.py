"""What `choose` knows of a request. PURE."""

from router.prefix_chain import EMPTY, PrefixChain, chain_of
from router.types import PolicyName


class RequestFeatures:
    """Mutable: what changes from one choice to the next is set before it."""

    def __init__(
        self,
        *,
        policy: PolicyName = PolicyName.PREFIX_AWARE,
        tried: tuple[str, ...] = (),
        apart: bool = False,
        chain: PrefixChain = EMPTY,
        prompt_tokens: int = 1,
        kv_tokens: int = 1,
        session: bytes = b"",
        target_ttft_s: float = 2.0,
        crowding_s: float = 0.0,
        now: float = 0.0,
    ) -> None:
        """`now`: monotonic seconds."""
        self.policy = policy
        self.tried = tried
        """Replica ids that failed this request already."""
        self.apart = apart
        """It is not sent where another request is that was in a replica as it died."""
        self.chain = chain
        self.prompt_tokens = prompt_tokens
        """Estimate from the prompt's length."""
        self.kv_tokens = kv_tokens
        """Estimate of what it will take of a KV cache."""
        self.session = session
        self.target_ttft_s = target_ttft_s
        self.crowding_s = crowding_s
        """By how much one more request in a replica delays this one's last token, in seconds."""
        self.now = now

    def uncached_tokens(self, cached_bytes: int) -> int:
        """Prompt tokens to read where `cached_bytes` of the prompt are cached; one at least."""
        if not cached_bytes:
            return self.prompt_tokens
        return max(1, self.prompt_tokens - self.prompt_tokens * cached_bytes // self.chain.size_bytes)


def chain_for(policy: PolicyName, prompt: bytes) -> PrefixChain:
    """The chain that `choose` needs under `policy`."""
    return chain_of(prompt) if policy is PolicyName.PREFIX_AWARE else PrefixChain((), b"", len(prompt))
