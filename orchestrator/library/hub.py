"""Asks a model hub, in a process of its own: `python -m orchestrator.library.hub hf|modelscope OWNER/NAME …`.

`… list REVISION` prints one JSON line, a Found (an empty REVISION is the newest). `… fetch FOLDER` reads a Listing as
JSON on stdin and fetches exactly its files at its revision. Both hubs' own libraries do the transfer; they read
`HF_ENDPOINT`, `HF_TOKEN`, `MODELSCOPE_ENDPOINT` and `MODELSCOPE_API_TOKEN` from the environment. A cancelled or stuck
download can so be ended at any moment; the next one resumes from the partial files in FOLDER.

Errors are one line on stderr.
Exit status: 0, 3 (the hub cannot be reached or has trouble), 4 (the hub says no: unknown model, no access).
"""

import glob
import os
import re
import sys
from typing import Any

import msgspec

from orchestrator.library.listing import Listing, RemoteFile
from replicas.parent_death import die_with_parent

UNREACHABLE, REFUSED = 3, 4
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Found(msgspec.Struct):
    """What there is, before anybody chose."""

    files: tuple[RemoteFile, ...]
    commit: str = ""
    """Empty where the source tells none."""


def _list_hugging_face(id_: str, revision: str) -> Found:
    from huggingface_hub import HfApi

    info = HfApi().model_info(id_, revision=revision or None, files_metadata=True)
    files = tuple(RemoteFile(each.rfilename, each.size or 0, each.blob_id or "") for each in info.siblings or [])
    return Found(files, info.sha or "")


def _fetch_hugging_face(id_: str, listing: Listing, folder: str) -> None:
    from huggingface_hub import snapshot_download

    # Pinned to the commit that was listed, so that one folder never mixes two states of a repository.
    snapshot_download(
        id_, revision=listing.revision, local_dir=folder, allow_patterns=_patterns(listing), max_workers=4
    )


def _list_modelscope(id_: str, revision: str) -> Found:
    from modelscope_hub import HubApi

    api = HubApi()

    def ask(revision: str) -> list[dict[str, Any]]:
        # The plain answer: what the library makes of it leaves the commits out.
        entries = api.legacy.list_repo_files(id_, "model", revision=revision)
        return [each for each in entries if each.get("Type") != "tree"]

    entries = ask(revision or "master")
    commit = revision if _COMMIT.fullmatch(revision) else modelscope_commit(entries)
    if commit and commit != revision:
        entries = ask(commit)  # what is pinned is what this very commit has, whatever came meanwhile
    files = tuple(RemoteFile(each["Path"], each.get("Size") or 0, each.get("Sha256") or "") for each in entries)
    return Found(files, commit)


def modelscope_commit(entries: list[dict[str, Any]]) -> str:
    """The commit that a listing stands for: the newest of those that its files were last changed by. ModelScope names
    one for each file and none for the whole. Empty if it names none. PURE."""
    newest = max(entries, key=lambda each: each.get("CommittedDate") or 0, default={})
    commit = str(newest.get("Revision") or "")
    return commit if _COMMIT.fullmatch(commit) else ""


def _fetch_modelscope(id_: str, listing: Listing, folder: str) -> None:
    from modelscope.hub.snapshot_download import snapshot_download

    snapshot_download(id_, revision=listing.revision or "master", local_dir=folder, allow_patterns=_patterns(listing))


def _patterns(listing: Listing) -> list[str]:
    return [glob.escape(each.path) for each in listing.files]


def _refused(error: Exception) -> bool:
    """Whether the hub answered and said no, as against not answering."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "status_code", None)
    return (status is not None and 400 <= int(status) < 500) or type(error).__name__ in (
        "RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError", "NotExistError", "NotFoundError",
        "AuthenticationError",
    )  # fmt: skip


def main() -> int:
    die_with_parent(os.getppid())  # one that lived on would write beside the next one
    kind, id_, verb, argument = sys.argv[1:]
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        if verb == "list":
            found = (_list_hugging_face if kind == "hf" else _list_modelscope)(id_, argument)
            print(msgspec.json.encode(found).decode())  # noqa: T201
        else:
            listing = msgspec.json.decode(sys.stdin.buffer.read(), type=Listing)
            (_fetch_hugging_face if kind == "hf" else _fetch_modelscope)(id_, listing, argument)
    except Exception as error:  # noqa: BLE001 - top of the process: whatever a hub's library raises is told and judged
        text = str(error).strip() or type(error).__name__
        print(text.splitlines()[0], file=sys.stderr)  # noqa: T201
        return REFUSED if _refused(error) else UNREACHABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
