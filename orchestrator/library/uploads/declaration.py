"""Whether what a client says it will send can be received at all. PURE."""

import re
from collections.abc import Sequence

from orchestrator.library.uploads.errors import UploadRefusedError
from orchestrator.library.uploads.types import DeclaredFile, UploadLimits
from orchestrator.library.verification.paths import duplicate, path_fault
from orchestrator.sentences import Saying, say

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN_CHARACTERS = 120


def check_files(files: Sequence[DeclaredFile], limits: UploadLimits) -> None:
    """Raises UploadRefusedError (422) naming the file at fault."""
    if not files:
        raise _invalid("No file was declared. Choose the folder that holds config.json and the weights.")
    if len(files) > limits.files:
        raise _invalid(f"{len(files)} files were declared and at most {limits.files} are taken at once.")
    for file in files:
        fault = path_fault(file.path)
        if fault is not None:
            raise _invalid(f"{_shown(file.path)} {fault}. Rename the file.")
        if file.sha256:
            check_sha256(file.path, file.sha256)
    paths = [file.path for file in files]
    if len(set(paths)) < len(paths):
        raise _invalid(f"{next(path for path in paths if paths.count(path) > 1)} was declared twice.")
    pair = duplicate(paths)
    if pair is not None:
        raise _invalid(f"{pair[1]} and {pair[0]} differ by case alone. Rename one.")
    folders = {path[:at] for path in paths for at in range(len(path)) if path[at] == "/"}
    for path in paths:
        if path in folders:
            raise _invalid(f"{path} was declared both as a file and as a folder.")


def check_sha256(path: str, sha256: str) -> None:
    """Raises UploadRefusedError (422)."""
    if not _SHA256.fullmatch(sha256):
        raise _invalid(f"The SHA-256 declared for {path} is not 64 lower-case hexadecimal digits.")


def check_space(missing_bytes: int, outstanding_bytes: int, free_bytes: int, reserve_bytes: int) -> None:
    """Raises UploadRefusedError (507) if the disk will not hold it, with what other uploads have still to bring."""
    if missing_bytes + outstanding_bytes + reserve_bytes > free_bytes:
        said = say(
            Saying.NO_DISK_FOR_UPLOAD,
            needed_bytes=missing_bytes,
            free_bytes=free_bytes,
            promised_bytes=outstanding_bytes,
            reserve_bytes=reserve_bytes,
        )
        raise UploadRefusedError(507, said, code="disk_full")


def is_single_archive(files: Sequence[DeclaredFile]) -> bool:
    """Whether what is sent is one archive that holds the model's files."""
    return len(files) == 1 and files[0].path.lower().endswith(ARCHIVE_SUFFIXES)


def _shown(path: str) -> str:
    return repr(path[:_SHOWN_CHARACTERS])


def _invalid(message: str) -> UploadRefusedError:
    return UploadRefusedError(422, message, code="invalid_upload")
