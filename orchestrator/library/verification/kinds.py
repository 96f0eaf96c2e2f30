"""What kind of file it is, by its name and by its first bytes. PURE.

The name decides what a file may be; the first bytes decide whether it is something else in disguise.
"""

import re
from enum import Enum, auto

from orchestrator.library.verification.refusal import Code, Refusal

HEAD_BYTES = 1024
"""How much of a file's beginning `check_magic` wants."""


class Kind(Enum):
    """What a file may be."""

    WEIGHTS = auto()
    TOKENIZER_JSON = auto()
    INDEX = auto()
    JSON = auto()
    SENTENCEPIECE = auto()
    TEMPLATE = auto()
    TOKENS = auto()
    TEXT = auto()


MAX_BYTES = {
    Kind.TOKENIZER_JSON: 64 * 2**20, Kind.INDEX: 33 * 2**20, Kind.JSON: 8 * 2**20, Kind.SENTENCEPIECE: 16 * 2**20,
    Kind.TEMPLATE: 256 * 2**10, Kind.TOKENS: 32 * 2**20, Kind.TEXT: 16 * 2**20,
}  # fmt: skip
"""What a file may have at most: some times the largest that is published. Weights are not read whole: no limit."""


MAX_BYTES_TOGETHER = {Kind.JSON: 16 * 2**20, Kind.TOKENS: 64 * 2**20, Kind.TEXT: 32 * 2**20, Kind.INDEX: 64 * 2**20}
"""What all files of a kind may have together: many small bombs are one large one."""


_NAMES = {
    "tokenizer.json": Kind.TOKENIZER_JSON, "tekken.json": Kind.TOKENIZER_JSON, "vocab.json": Kind.TOKENIZER_JSON,
}  # fmt: skip
_SUFFIXES = {
    ".safetensors": Kind.WEIGHTS, ".index.json": Kind.INDEX, ".json": Kind.JSON, ".model": Kind.SENTENCEPIECE,
    ".jinja": Kind.TEMPLATE, ".tiktoken": Kind.TOKENS, ".txt": Kind.TOKENS, ".md": Kind.TEXT, ".rst": Kind.TEXT,
}  # fmt: skip
_TEXT_NAMES = re.compile(r"(LICEN[CS]E|NOTICE|README|USE_POLICY|COPYING|AUTHORS|CITATION)[\w.-]*", re.IGNORECASE)
_TEXT_SUFFIXES = ("", ".md", ".txt", ".rst", ".cff")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill")
_PROGRAMS = (
    ".py", ".pyc", ".pyo", ".pyi", ".pyx", ".pyd", ".pth", ".so", ".dll", ".dylib", ".exe", ".sh", ".bash", ".bat",
    ".cmd", ".ps1", ".js", ".mjs", ".jar", ".class", ".ipynb", ".rb", ".pl", ".lua", ".wasm", ".cu", ".cuh", ".ptx",
    ".c", ".cc", ".cpp", ".h", ".o", ".a",
)  # fmt: skip
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".lz4", ".whl", ".nemo", ".mar")
_OTHER_WEIGHTS = (".gguf", ".ggml", ".onnx", ".h5", ".msgpack", ".npz", ".npy", ".tflite", ".mlmodel", ".engine")
_REMOVE = "Remove it from the folder."
_CONVERT = "Convert the weights to safetensors and leave this file out."


def kind_of(name: str) -> Kind:
    """What a file of this name may be. Raises Refusal for all that is not on the list."""
    lower = name.lower().rsplit("/", 1)[-1]
    if lower in _NAMES:
        return _NAMES[lower]
    suffix = lower[lower.rfind(".") :] if "." in lower else ""
    if _TEXT_NAMES.fullmatch(lower) and suffix in _TEXT_SUFFIXES:
        return Kind.TEXT
    for each, kind in _SUFFIXES.items():
        if lower.endswith(each):
            return kind
    raise _not_listed(name, suffix)


def _not_listed(name: str, suffix: str) -> Refusal:
    if suffix in _PICKLES:
        return Refusal(Code.PICKLE, name, "is of a kind that can run code when it is loaded (pickle)", _CONVERT)
    if suffix in _PROGRAMS:
        return Refusal(Code.CODE, name, "is a program, and code from a model is never run here", _REMOVE)
    if suffix in _ARCHIVES:
        return Refusal(Code.ARCHIVE, name, "is an archive inside the model", "Unpack it, or " + _REMOVE.lower())
    if suffix in _OTHER_WEIGHTS:
        return Refusal(Code.KIND, name, "holds weights in a form that is not served from here", _CONVERT)
    return Refusal(Code.KIND, name, "is of a kind that no model needs", _REMOVE)


_MAGIC: tuple[tuple[bytes, Code, str], ...] = (
    (b"\x7fELF", Code.CODE, "is a program (ELF)"),
    (b"\xfe\xed\xfa\xce", Code.CODE, "is a program (Mach-O)"),
    (b"\xfe\xed\xfa\xcf", Code.CODE, "is a program (Mach-O)"),
    (b"\xce\xfa\xed\xfe", Code.CODE, "is a program (Mach-O)"),
    (b"\xcf\xfa\xed\xfe", Code.CODE, "is a program (Mach-O)"),
    (b"\xca\xfe\xba\xbe", Code.CODE, "is a program (Mach-O or Java)"),
    (b"\0asm", Code.CODE, "is a program (WebAssembly)"),
    (b"#!", Code.CODE, "is a script"),
    (b"PK\x03\x04", Code.ARCHIVE, "is an archive (zip)"),
    (b"PK\x05\x06", Code.ARCHIVE, "is an archive (zip)"),
    (b"\x1f\x8b", Code.ARCHIVE, "is an archive (gzip)"),
    (b"BZh", Code.ARCHIVE, "is an archive (bzip2)"),
    (b"\xfd7zXZ\0", Code.ARCHIVE, "is an archive (xz)"),
    (b"\x28\xb5\x2f\xfd", Code.ARCHIVE, "is an archive (zstd)"),
    (b"\x04\x22\x4d\x18", Code.ARCHIVE, "is an archive (lz4)"),
    (b"7z\xbc\xaf\x27\x1c", Code.ARCHIVE, "is an archive (7z)"),
    (b"Rar!\x1a\x07", Code.ARCHIVE, "is an archive (rar)"),
    (b"\x93NUMPY", Code.PICKLE, "is a NumPy file (it can carry a pickle)"),
    (b"\x89HDF\r\n", Code.KIND, "is an HDF5 file"),
    (b"GGUF", Code.KIND, "is a GGUF file"),
)
_BINARY_PICKLE = re.compile(rb"\x80[\x01-\x05]")
_TEXT_PICKLE = re.compile(
    rb"[(\]})]*c[A-Za-z_][\w.]*\r?\n[A-Za-z_][\w.]*\r?\n(\(|S'|\)|\}|\]|[pq]\d*\r?\n?\()"  # GLOBAL, then its arguments
    rb"|\((dp|lp|ip)\d*\r?\n"  # a dictionary, list or instance that is remembered
    rb"|\(i[A-Za-z_][\w.]*\r?\n[A-Za-z_][\w.]*\r?\n"
)


def check_magic(name: str, head: bytes, size: int) -> None:
    """Raises Refusal if `head`, the first bytes of a file of `size` bytes, shows something else than its name says."""
    if name.lower().endswith(".safetensors") and _begins_as_safetensors(head, size):
        return  # a header of 640 bytes begins with the very two bytes that a pickle begins with
    if _BINARY_PICKLE.match(head) or _TEXT_PICKLE.match(head) or (head[:2] == b"PK" and b"data.pkl" in head):
        raise Refusal(Code.PICKLE, name, "is a pickle under another name, and can run code when it is loaded", _CONVERT)
    for magic, code, what in _MAGIC:
        if head.startswith(magic):
            raise Refusal(code, name, f"{what} under another name", _REMOVE)
    if head[:2] == b"MZ" and b"\0" in head[:64]:
        raise Refusal(Code.CODE, name, "is a program (Windows) under another name", _REMOVE)
    if head[257:262] == b"ustar":
        raise Refusal(Code.ARCHIVE, name, "is an archive (tar) under another name", _REMOVE)


def _begins_as_safetensors(head: bytes, size: int) -> bool:
    return head[8:9] == b"{" and 8 + int.from_bytes(head[:8], "little") <= size
