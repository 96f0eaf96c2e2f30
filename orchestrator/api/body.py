"""What all bodies of the admin API have in common."""

from pydantic import BaseModel, ConfigDict

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"


class Body(BaseModel):
    """Of a request: a field that nobody knows is refused, for it may be one that is misspelt."""

    model_config = ConfigDict(extra="forbid")
