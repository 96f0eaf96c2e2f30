"""Model folders that must be refused, each with the reason that it must be refused for.

Every one is an honest folder of `honest_models` with one thing spoiled, so that nothing else can be the reason.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tests import hostile_settings, hostile_weights
from tests.hostile_case import Hostile, Spoil, honest, written

_FRAME = b"\x95\x1d" + b"\0" * 7 + b"\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
_SMALL_PICKLES = {
    "protocol 2": b"\x80\x02cposix\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.",
    "protocol 3": b"\x80\x03cposix\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.",
    "protocol 4": b"\x80\x04" + _FRAME,
    "protocol 5": b"\x80\x05" + _FRAME,
    "protocol 0": b"cos\nsystem\n(S'id'\ntR.",
    "dictionary of protocol 0": b"(dp0\nS'a'\nI1\ns.",
    "torch's zip": b"PK\x03\x04\0\0\x08\x08\0\0" + b"\0" * 16 + b"\x10\0\x12\0archive/data.pkl" + b"\x80\x02}q\0." * 9,
    "torch's old form": b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
}
_PROGRAMS = {
    "ELF": b"\x7fELF\x02\x01\x01" + b"\0" * 57,
    "Mach-O": b"\xcf\xfa\xed\xfe" + b"\0" * 60,
    "Windows program": b"MZ\x90\0\x03\0\0\0" + b"\0" * 56,
    "shell script": b"#!/bin/sh\nrm -rf /\n",
    "WebAssembly": b"\0asm\x01\0\0\0",
    "Java class": b"\xca\xfe\xba\xbe\0\0\0\x34",
}
_ARCHIVES = {
    "zip": b"PK\x03\x04\x14\0\0\0" + b"\0" * 60,
    "gzip": b"\x1f\x8b\x08\0" + b"\0" * 60,
    "bzip2": b"BZh91AY&SY" + b"\0" * 60,
    "xz": b"\xfd7zXZ\0\0\x04" + b"\0" * 60,
    "zstd": b"\x28\xb5\x2f\xfd" + b"\0" * 60,
    "7z": b"7z\xbc\xaf\x27\x1c" + b"\0" * 60,
    "rar": b"Rar!\x1a\x07\x01\0" + b"\0" * 60,
    "tar": b"a".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 300,
}
_DISGUISES = ("notes.txt", "extra.json", "model-extra.safetensors", "more.jinja", "tokenizer.model", "vocab.txt")
_NAMES = {
    "a control character": "config\x07.json",
    "a line break": "a\nb.txt",
    "a turned direction": "read\u202etxt.md",
    "a zero-width space": "notes\u200b.txt",
    "a soft hyphen": "no\u00adtes.txt",
    "a no-break space": "a\u00a0b.txt",
    "full-width letters": "ｎotes.txt",
    "a ligature": "oﬃce.txt",
    "a decomposed letter": "cafe\u0301.txt",
    "Cyrillic among Latin": "c\u043enfig.txt",
    "Greek among Latin": "n\u03bftes.txt",
    "a backslash": "..\\evil.txt",
    "a drive": "C:evil.txt",
    "a stream": "notes.txt:evil.txt",
    "a device": "nul.txt",
    "a device's port": "COM1.json",
    "a space at the end": "notes.txt ",
    "a dot at the end": "notes.txt.",
    "an encoded dot": "%2e%2e%2fevil.txt",
    "a question mark": "what?.txt",
    "a star": "all*.txt",
    "a pipe": "a|b.txt",
    "a tilde at the beginning": "~root.txt",
    "a private character": "a\ue000.txt",
    "an unassigned character": "a\u0378.txt",
    "a line separator": "a\u2028b.txt",
    "a long path": "/".join(["d" * 200] * 6) + "/a.txt",
    "a deep path": "/".join("abcdefgh") + "/a.txt",
    "bytes that are not UTF-8": os.fsdecode(b"caf\xe9.txt"),
    "a quotation mark": 'a".txt',
}
_UNWANTED = {
    "pickle": ["pytorch_model.bin", "model.pt", "model.pth", "data.pkl", "data.pickle", "last.ckpt", "scaler.joblib"],
    "code": [
        "modeling_llama.py",
        "kernel.so",
        "setup.sh",
        "run.exe",
        "hook.dll",
        "cache.pyc",
        "train.ipynb",
        "a.js",
        "kernel.cu",
        "lib.dylib",
        "sub/modeling.py",
        "MODELING.PY",
    ],
    "archive": ["weights.zip", "weights.tar", "weights.tar.gz", "weights.7z", "package.whl", "model.nemo"],
    "kind": [
        "model.gguf",
        "model.onnx",
        "model.h5",
        "flax_model.msgpack",
        "weights.npz",
        "picture.png",
        "model.foo",
        "Makefile",
        ".hidden",
        ".config/a.json",
        "config.json.bak",
        "model.safetensors.tmp",
    ],
}


def _unwanted() -> Iterator[Hostile]:
    for code, paths in _UNWANTED.items():
        for path in paths:
            yield Hostile(f"a file {path}", code, path.removesuffix("/a.json"), written(path, b"harmless"))


def _disguised() -> Iterator[Hostile]:
    for place, (what, data) in enumerate(_SMALL_PICKLES.items()):
        for path in (_DISGUISES[place % 6], _DISGUISES[(place + 1) % 6], "LICENSE"):
            yield Hostile(f"a pickle of {what} as {path}", "pickle", path, written(path, data))
        yield Hostile(
            f"a pickle of {what} as the weights", "pickle", "model.safetensors", written("model.safetensors", data)
        )
    for code, kinds in (("code", _PROGRAMS), ("archive", _ARCHIVES)):
        for place, (what, data) in enumerate(kinds.items()):
            path = _DISGUISES[place % 6]
            yield Hostile(f"{what} as {path}", code, path, written(path, data))
    yield Hostile("a NumPy file as text", "pickle", "a.txt", written("a.txt", b"\x93NUMPY\x01\0v\0{'descr': '|O'}"))
    yield Hostile("HDF5 as weights", "kind", "a.safetensors", written("a.safetensors", b"\x89HDF\r\n\x1a\n"))
    yield Hostile("GGUF as weights", "kind", "a.safetensors", written("a.safetensors", b"GGUF\x03\0\0\0"))
    yield Hostile("binary text", "text", "notes.txt", written("notes.txt", b"abc\0def"))
    yield Hostile("text that is not UTF-8", "text", "README.md", written("README.md", b"caf\xe9"))


def _badly_named() -> Iterator[Hostile]:
    for what, name in _NAMES.items():
        yield Hostile(f"a name with {what}", "path", "", written(name, b"text"))

    @honest
    def two_cases(folder: Path) -> None:
        (folder / "CONFIG.json").write_bytes((folder / "config.json").read_bytes())

    yield Hostile("two names that differ in case", "path", "", two_cases)

    @honest
    def many(folder: Path) -> None:
        for number in range(4200):
            os.close(os.open(folder / f"{number}.txt", os.O_CREAT | os.O_WRONLY))

    yield Hostile("thousands of files", "too_many", "", many)


def _special() -> Iterator[Hostile]:
    def linked(path: str, target: str) -> Spoil:
        @honest
        def spoil(folder: Path) -> None:
            (folder / path).unlink(missing_ok=True)
            (folder / path).symlink_to(target)

        return spoil

    for what, path, target in (
        ("to a secret", "notes.txt", "/etc/passwd"),
        ("upwards", "notes.txt", "../../secret.txt"),
        ("to nothing", "notes.txt", "nowhere"),
        ("to itself", "notes.txt", "notes.txt"),
        ("within the folder", "notes.txt", "README.md"),
        ("to a folder", "more", "/etc"),
        ("in place of the configuration", "config.json", "/etc/hostname"),
        ("in place of the weights", "model.safetensors", "/dev/zero"),
        ("in place of the tokenizer", "tokenizer.json", "config.json"),
    ):
        yield Hostile(f"a link {what}", "link", path, linked(path, target))

    yield from _not_plain()


def _not_plain() -> Iterator[Hostile]:
    @honest
    def pipe(folder: Path) -> None:
        os.mkfifo(folder / "notes.txt")

    @honest
    def socket_file(folder: Path) -> None:
        with socket.socket(socket.AF_UNIX) as bound:
            descriptor = os.open(folder, os.O_RDONLY)
            bound.bind(
                f"/proc/self/fd/{descriptor}/notes.txt"
            )  # a socket's path may be 107 bytes long, the folder's not
            os.close(descriptor)

    @honest
    def pipe_as_config(folder: Path) -> None:
        (folder / "config.json").unlink()
        os.mkfifo(folder / "config.json")

    yield Hostile("a pipe", "special_file", "notes.txt", pipe)
    yield Hostile("a socket", "special_file", "notes.txt", socket_file)
    yield Hostile("a pipe in place of the configuration", "special_file", "config.json", pipe_as_config)


CASES: tuple[Hostile, ...] = tuple(
    case
    for group in (_unwanted, _disguised, _badly_named, _special, hostile_settings.cases, hostile_weights.cases)
    for case in group()
)
