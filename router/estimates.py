"""What the router learns of a model's requests, to say beforehand what one will take. PURE."""

from dataclasses import dataclass

_SMOOTHING = 0.05
_INITIAL_BYTES_PER_TOKEN = 4.0
_BYTES_PER_TOKEN_RANGE = (0.5, 16.0)
_FROM_PROMPT_TOKENS = 8
_INITIAL_OUTPUT_TOKENS = 200.0
_INITIAL_CROWDING_S = 0.0005
_FORGET = 0.98


@dataclass(eq=False)
class ModelEstimates:
    """Running means over one model's requests. Mutable."""

    bytes_per_token: float = _INITIAL_BYTES_PER_TOKEN
    """Bytes of prompt text per token."""
    output_tokens: float = _INITIAL_OUTPUT_TOKENS
    crowding_per_token_s: float = _INITIAL_CROWDING_S
    """What each running request adds to the time between two tokens of another: the slope of a line through
    (requests running, time between tokens)."""
    _weight: float = 0.0
    _x: float = 0.0
    _y: float = 0.0
    _xx: float = 0.0
    _xy: float = 0.0

    def prompt_tokens(self, size_bytes: int) -> int:
        """Tokens of a prompt whose text has so many bytes; at least one."""
        return int(size_bytes / self.bytes_per_token) + 1

    def expected_output_tokens(self, max_tokens: int | None) -> int:
        """Tokens that an answer will have, of at most `max_tokens`."""
        expected = int(self.output_tokens) + 1
        return expected if max_tokens is None else min(max_tokens, expected)

    def prompt_measured(self, size_bytes: int, tokens: int) -> None:
        """A prompt of `size_bytes` bytes had `tokens` tokens. Short ones are mostly the template's."""
        if tokens >= _FROM_PROMPT_TOKENS and size_bytes:
            low, high = _BYTES_PER_TOKEN_RANGE
            measured = min(max(size_bytes / tokens, low), high)
            self.bytes_per_token += _SMOOTHING * (measured - self.bytes_per_token)

    def output_measured(self, tokens: int) -> None:
        """An answer had so many tokens."""
        self.output_tokens += _SMOOTHING * (tokens - self.output_tokens)

    def inter_token_measured(self, running: float, seconds: float) -> None:
        """With `running` requests in the replica, two tokens were `seconds` apart on average."""
        self._weight = self._weight * _FORGET + 1
        self._x = self._x * _FORGET + running
        self._y = self._y * _FORGET + seconds
        self._xx = self._xx * _FORGET + running * running
        self._xy = self._xy * _FORGET + running * seconds
        spread = self._weight * self._xx - self._x * self._x
        # A slope through points that all lie at one load says nothing.
        if self._weight > 10 and spread > self._weight:
            slope = (self._weight * self._xy - self._x * self._y) / spread
            self.crowding_per_token_s += _SMOOTHING * (max(slope, 0.0) - self.crowding_per_token_s)
