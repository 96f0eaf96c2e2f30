"""Why a model folder is refused. PURE."""

from enum import StrEnum


class Code(StrEnum):
    """What kind of fault it is; the sentence beside it says where and what to do."""

    NO_FOLDER = "no_folder"
    PATH = "path"
    KIND = "kind"
    CODE = "code"
    PICKLE = "pickle"
    ARCHIVE = "archive"
    LINK = "link"
    SPECIAL_FILE = "special_file"
    TOO_MANY = "too_many"
    TOO_LARGE = "too_large"
    TEXT = "text"
    JSON = "json"
    REMOTE_CODE = "remote_code"
    CONFIG = "config"
    NO_WEIGHTS = "no_weights"
    HEADER = "header"
    INDEX = "index"
    SHAPE = "shape"
    DTYPE = "dtype"
    MISSING_TENSOR = "missing_tensor"
    UNKNOWN_TENSOR = "unknown_tensor"
    NOT_FINITE = "not_finite"
    TOKENIZER = "tokenizer"
    TEMPLATE = "template"
    LIMIT = "limit"
    UNREADABLE = "unreadable"


_SHOWN = 160


def shown(text: str) -> str:
    """`text` as it may stand in a sentence or a log: one line, printable, not endless."""
    safe = text if text.isprintable() else text.encode("unicode_escape", "surrogatepass").decode("ascii")
    return safe if len(safe) <= _SHOWN else f"{safe[: _SHOWN - 1]}…"


class Refusal(Exception):  # noqa: N818 - a verdict, not an error of the program
    """The folder is refused. `str()` of it is a sentence that names the file at fault and says what to do.

    `what` continues a sentence that begins with the file's name; `remedy` is a sentence of its own.
    """

    def __init__(self, code: Code, file: str, what: str, remedy: str) -> None:
        self.code = code
        self.file = shown(file)
        super().__init__(f"{self.file} {what}. {remedy}")
