"""Asks a model hub, in a process of its own: `python -m orchestrator.library.hub hf|modelscope OWNER/NAME …`.

`… list REVISION` prints one JSON line, a Found (an empty REVISION is the newest). `… fetch FOLDER` reads a Listing as
JSON on stdin and fetches exactly its files at its revision. `… search MOST`, with words in the place of OWNER/NAME,
prints one JSON line, the first HubModels of those that can be served. Both hubs' own libraries do the transfer; they
read `HF_ENDPOINT`, `HF_TOKEN`, `MODELSCOPE_ENDPOINT` and `MODELSCOPE_API_TOKEN` from the environment. A cancelled or
stuck download can so be ended at any moment; the next one resumes from the partial files in FOLDER.

Errors are one line on stderr.
Exit status: 0, 3 (the hub cannot be reached or has trouble), 4 (the hub says no: unknown model, no access).
"""

import glob
import os
import re
import sys
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from orchestrator.library.hub_models import ASKED, HubModel, licence_of, may_be_served
from orchestrator.library.listing import Listing, RemoteFile
from replicas.parent_death import die_with_parent

UNREACHABLE, REFUSED = 3, 4
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ADDRESS = re.compile(r" for url:? '?[^\s']+'?")
_HUGGING_FACE = ["downloads", "gated", "lastModified", "likes", "pipeline_tag", "safetensors", "tags"]
"""What its search tells of each model."""


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


def _search_hugging_face(words: str) -> Iterable[HubModel]:
    from huggingface_hub import ModelInfo, constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    # As `HfApi.list_models`, but for its retries: who searches waits, and can ask again.
    asked = {"search": words, "filter": "safetensors", "sort": "downloads", "limit": ASKED, "expand": _HUGGING_FACE}
    answer = get_session().get(f"{constants.ENDPOINT}/api/models", params=asked, headers=build_hf_headers())
    hf_raise_for_status(answer)
    for each in answer.json():
        found = ModelInfo(**each)
        tags = found.tags or []
        if may_be_served(found.id, [found.pipeline_tag] if found.pipeline_tag else [], tags):
            yield HubModel(
                id=found.id,
                task=found.pipeline_tag or "",
                parameters=found.safetensors.total if found.safetensors else None,
                licence=licence_of(tags),
                downloads=found.downloads,
                likes=found.likes,
                updated_at=found.last_modified.timestamp() if found.last_modified else None,
                gated=bool(found.gated),
            )


def _search_modelscope(words: str) -> Iterable[HubModel]:
    os.environ.setdefault("MODELSCOPE_API_MAX_RETRIES", "1")
    from modelscope_hub import HubApi

    for each in HubApi().list_repos("model", search=words, page_size=ASKED):
        tasks, tags = each.tasks or [], each.tags or []
        if may_be_served(each.repo_id or "", tasks, tags):
            yield HubModel(
                id=each.repo_id or "",
                task=tasks[0] if tasks else "",
                licence=each.license or licence_of(tags),
                downloads=each.downloads,
                likes=each.likes,
                updated_at=each.last_modified.timestamp() if isinstance(each.last_modified, datetime) else None,
                gated=bool(each.gated or each.login_required),
            )


def _patterns(listing: Listing) -> list[str]:
    return [glob.escape(each.path) for each in listing.files]


def _reason(error: Exception) -> str:
    """One line, without the address that was asked: a search's is longer than all the rest."""
    text = str(error).strip() or type(error).__name__
    return _ADDRESS.sub("", text.splitlines()[0])


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
        elif verb == "search":
            search = _search_hugging_face if kind == "hf" else _search_modelscope
            print(msgspec.json.encode(tuple(islice(search(id_), int(argument)))).decode())  # noqa: T201
        else:
            listing = msgspec.json.decode(sys.stdin.buffer.read(), type=Listing)
            (_fetch_hugging_face if kind == "hf" else _fetch_modelscope)(id_, listing, argument)
    except Exception as error:  # noqa: BLE001 - top of the process: whatever a hub's library raises is told and judged
        print(_reason(error), file=sys.stderr)  # noqa: T201
        return REFUSED if _refused(error) else UNREACHABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
