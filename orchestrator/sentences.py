"""What people are told, in a form that can be said in any language. PURE.

A sentence is a code and what it has beside its words. Its English is in `sentences.en.json` and nowhere else. What
engines, hubs and the operating system say is quoted inside a sentence, as it is.
"""

from collections.abc import Mapping

from msgspec import Struct, field

from orchestrator.sayings import Saying
from orchestrator.scaling.words import seconds
from replicas.doing import Doing

__all__ = ["Saying", "Sentence", "Value", "heard", "inside", "quoted", "say"]
_GIB = 2**30


class Sentence(Struct, frozen=True):
    """One thing that people are told. `str()` of it is English."""

    code: Saying
    values: Mapping[str, "str | int | float | Sentence"] = field(default_factory=dict)
    """What it has beside its words; times in seconds by names that end in `_s`, sizes by `_bytes`."""

    def __str__(self) -> str:
        shown = dict(_shown(name, value) for name, value in self.values.items())
        return self.code.english.format(**shown)


Value = str | int | float | Sentence


def say(saying: Saying, /, **values: Value) -> Sentence:
    """A sentence made of these values."""
    return Sentence(saying, values)


def quoted(text: str) -> Sentence:
    """Something that is said in English alone."""
    return say(Saying.TEXT, said=text)


def inside(sentence: Sentence) -> str:
    """Its English as it stands inside another sentence: without a full stop."""
    return str(sentence).rstrip(".")


def heard(text: str) -> Sentence:
    """What a replica says: what we know that it does, how far it is with that, or else its own words."""
    phrase, colon, amount = text.partition(": ")
    known = _DOING.get(phrase)
    if known is None:
        return say(Saying.REPLICA_SAYS, said=text)
    return say(Saying.SO_FAR, doing=say(known), amount=amount) if colon else say(known)


_DOING: Mapping[str, Saying] = {each.value: Saying[each.name] for each in Doing}


def _shown(name: str, value: Value) -> tuple[str, str]:
    """A value as it stands in the English words."""
    if isinstance(value, Sentence):
        return name, inside(value)
    if isinstance(value, str):
        return name, value
    if name.endswith("_s"):
        return name.removesuffix("_s"), seconds(value)
    if name.endswith("_bytes"):
        return name.removesuffix("_bytes"), f"{value / _GIB:.1f} GiB"
    return name, f"{value:,}" if isinstance(value, int) else f"{value:g}"
