"""Bodies of the admin API about the logs of replicas."""

from typing import Literal

from pydantic import BaseModel


class LogLineView(BaseModel):
    stream: Literal["out", "err"]
    text: str


class LogView(BaseModel):
    """Whole lines, in their order within each stream."""

    lines: list[LogLineView]
    position: str
    """Send it as `after` to read on."""
    ended: bool
    """The replica is gone, nothing will follow."""
