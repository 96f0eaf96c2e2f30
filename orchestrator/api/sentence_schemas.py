"""Sentences as pages need them to say them in their own language."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, Field

from orchestrator.sentences import Saying, Sentence, Value


class SentenceView(BaseModel):
    """A sentence as a code and what it has beside its words; other sentences may be among that."""

    code: Saying
    values: dict[str, "str | float | SentenceView"] = Field(description="Times end in `_s`, sizes in `_bytes`")

    @classmethod
    def of(cls, sentence: Sentence) -> Self:
        return cls(code=sentence.code, values=value_views(sentence.values))


def value_views(values: Mapping[str, Value]) -> "dict[str, str | float | SentenceView]":
    """What stands beside words."""
    return {name: SentenceView.of(value) if isinstance(value, Sentence) else value for name, value in values.items()}


Sentences = dict[str, SentenceView]
"""By the name of the field beside it that has the same sentence in English."""


def sentences(**fields: Sentence | None) -> Sentences:
    """Of those fields that say anything."""
    return {name: SentenceView.of(sentence) for name, sentence in fields.items() if sentence is not None}


def english(sentence: Sentence | None) -> str:
    """Nothing where there is none."""
    return "" if sentence is None else str(sentence)
