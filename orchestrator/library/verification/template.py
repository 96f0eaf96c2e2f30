"""Does the chat template render a conversation of two turns, in bounded time, memory and output?

Rendered with what Hugging Face's tokenizers give a template, in jinja2's immutable sandbox, narrowed further: what
multiplies text or numbers is bounded before it is done.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orchestrator.library.verification.budget import OutOfTimeError, Watch, cpu_budget
from orchestrator.library.verification.refusal import Code, Refusal, shown

MAX_OUTPUT_CHARS = 2**20
_MAX_REPEAT = 2**20
_MAX_WIDTH = 10_000
RENDER_S = 0.6
"""CPU time for one template on a slow core: an honest one takes a hundredth of it."""
_WIDE_FORMAT = re.compile(r"[%:][^%{}A-Za-z]*(\d{5,}|\*)|:[^{}]*\{")
"""A width of five digits, or one that is only known from the arguments."""
_REMEDY = "Take the chat template that was published with the model, or correct it."
_PADDING = frozenset(["ljust", "rjust", "center", "zfill", "expandtabs"])
TURNS = ("What is a roundhouse?", "A shed that keeps engines.", "Name one.")


class TooMuchError(Exception):
    """The template asks for more than any template needs."""


class GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}` marks what an assistant said; here it only has to be understood."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox with bounds on operators and methods that make much out of little."""

    intercepted_binops = frozenset(["*", "**", "%", "+"])

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols])
        self.filters["tojson"] = _tojson
        self.globals.pop("lipsum", None)  # text by the kilobyte, of which no conversation has need
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = lambda _format: "26 Jul 2025"
        for name in ("center", "indent", "wordwrap"):
            self.filters[name] = _narrow(self.filters[name])
        self.filters["format"] = _plain_format(self.filters["format"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Raises TooMuchError where the result would be large."""
        if operator == "*":
            _check_repeat(left, right)
        elif operator == "**" and not (_small(left, 2**16) and _small(right, 64)):
            raise TooMuchError("raises a number to a power that is too large")
        elif operator == "%" and isinstance(left, str) and _WIDE_FORMAT.search(left):
            raise TooMuchError("pads text too far")
        elif operator == "+" and _length(left) + _length(right) > _MAX_REPEAT:
            raise TooMuchError("makes a text or list that is too long")
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The sandbox's own `str.format`, which also refuses absurd widths with TooMuchError."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and _WIDE_FORMAT.search(value.__self__):
            raise TooMuchError("pads text too far")
        return wrapped

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Raises TooMuchError for paddings of absurd width."""
        name = getattr(obj, "__name__", "")
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            if name in _PADDING and any(not _small(each, _MAX_WIDTH) for each in args if isinstance(each, int)):
                raise TooMuchError("pads text too far")
            if name in ("replace", "join") and len(owner) * sum(map(_length, args)) > 2**24:
                raise TooMuchError("makes a text that is too long")
        return super().call(context, obj, *args, **kwargs)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | bytes) else 0


def _small(value: Any, limit: int) -> bool:
    return isinstance(value, int | float) and abs(value) <= limit


def _check_repeat(left: Any, right: Any) -> None:
    for value, times in ((left, right), (right, left)):
        if isinstance(times, int) and _length(value) * times > _MAX_REPEAT:
            raise TooMuchError("repeats a text or list too often")
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4096:
        raise TooMuchError("computes with numbers that are too large")


def _narrow(filter_: Callable[..., Any]) -> Callable[..., Any]:
    def bounded(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(each, int) and not _small(each, _MAX_WIDTH) for each in (*args, *kwargs.values())):
            raise TooMuchError("pads text too far")
        return filter_(*args, **kwargs)

    bounded.__dict__.update(filter_.__dict__)  # what jinja2 passes to the filter before its arguments
    return bounded


def _plain_format(filter_: Callable[..., Any]) -> Callable[..., Any]:
    def bounded(value: str, *args: Any, **kwargs: Any) -> Any:
        if _WIDE_FORMAT.search(str(value)):
            raise TooMuchError("pads text too far")
        return filter_(value, *args, **kwargs)

    return bounded


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None,
            separators: tuple[str, str] | None = None, sort_keys: bool = False) -> str:  # fmt: skip
    if isinstance(indent, int | str) and not _small(len(indent) if isinstance(indent, str) else indent, 64):
        raise TooMuchError("indents too far")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class _RaisedError(TemplateError):
    """The template itself refuses the conversation."""


def _raise_exception(message: object) -> None:
    raise _RaisedError(str(message))


def check_template(
    file: str, source: str, tokens: Mapping[str, str], watch: Watch, strict: bool = True, seconds: float = RENDER_S
) -> None:
    """Raises Refusal if `source` does not render within the limits; MemoryError.

    `tokens`: the special tokens that the tokenizer's configuration names. Not `strict` (a template for tools or
    documents): it may refuse a plain conversation, but not break a limit. `seconds`: of CPU time.
    """
    watch.at(file)
    try:
        with cpu_budget(watch, seconds):
            _render_either(source, tokens)
    except OutOfTimeError:
        raise _fault(file, "takes too long to render a short conversation") from None
    except TooMuchError as error:
        raise _fault(file, f"{error}") from None
    except MemoryError:
        raise _fault(file, "takes too much memory to render a short conversation") from None
    except RecursionError:
        raise _fault(file, "calls itself without end, or is nested too deep") from None
    except _OverflowingError as error:
        raise _fault(file, str(error)) from None
    except Exception as error:  # noqa: BLE001 - the template is a program of its author's: it may raise anything
        if strict or _is_syntax(error):
            reason = shown((str(error).splitlines() or [type(error).__name__])[0]).rstrip(".")
            raise _fault(file, f"does not render a conversation of two turns: {reason}") from None


class _OverflowingError(Exception):
    pass


def _is_syntax(error: Exception) -> bool:
    return type(error).__name__ in ("TemplateSyntaxError", "TemplateAssertionError", "SecurityError")


def _render_either(source: str, tokens: Mapping[str, str]) -> None:
    template = Sandbox().from_string(source)
    try:
        _render(template.generate, tokens, TURNS)
    except (TemplateError, TypeError):
        # Templates of models that also see pictures may want the content in parts.
        _render(template.generate, tokens, [[{"type": "text", "text": turn}] for turn in TURNS])


def _render(generate: Callable[..., Any], tokens: Mapping[str, str], contents: Any) -> None:
    roles = ("user", "assistant", "user")
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
    length = 0
    for chunk in generate(messages=messages, tools=None, documents=None, add_generation_prompt=True, **tokens):
        length += len(chunk)
        if length > MAX_OUTPUT_CHARS:
            raise _OverflowingError(f"makes more than {MAX_OUTPUT_CHARS:,} characters of a short conversation")


def _fault(file: str, what: str) -> Refusal:
    return Refusal(Code.TEMPLATE, file, what, _REMEDY)


def named_templates(value: Any) -> dict[str, str] | None:
    """Templates by name out of a `chat_template` setting: a text, or a list of named ones. None if it is neither."""
    if isinstance(value, str):
        return {"default": value}
    if isinstance(value, dict) and value and all(isinstance(each, str) for each in value.values()):
        return value
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return None
    named = {each.get("name"): each.get("template") for each in value}
    return named if all(isinstance(text, str) for pair in named.items() for text in pair) else None


def special_tokens(settings: Mapping[str, Any]) -> dict[str, str]:
    """`bos_token` and its like, which a template may name, out of `tokenizer_config.json`."""
    found = {}
    for name, value in settings.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found
