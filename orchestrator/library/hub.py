"""Downloads a model from a hub: `python -m orchestrator.library.hub hf|modelscope OWNER/NAME FOLDER list|COMMIT`.

A process of its own, so that a cancelled or stuck download can be ended at any moment; the next one resumes
from the partial files in FOLDER. Both hubs' own libraries do the transfer; they read `HF_ENDPOINT`, `HF_TOKEN`,
`MODELSCOPE_ENDPOINT` and `MODELSCOPE_API_TOKEN` from the environment.

`list` prints one JSON line `{"total_bytes": …, "weights_bytes": …, "commit": …}`; COMMIT fetches that commit (`latest`
where the hub names none). Errors are one line on stderr.
Exit status: 0, 3 (the hub cannot be reached or has trouble), 4 (the hub says no: unknown model, no access).
"""

import json
import os
import sys
from fnmatch import fnmatch

ALLOWED = (
    "*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt", "LICENSE*", "README.md",
)  # fmt: skip
"""What an engine needs; never pickles or code."""
IGNORED = ("original/*", "metal/*", "onnx/*", "*.gguf")
UNREACHABLE, REFUSED = 3, 4


def _wanted(path: str) -> bool:
    return any(fnmatch(path, each) for each in ALLOWED) and not any(fnmatch(path, each) for each in IGNORED)


def _describe(files: list[tuple[str, int]], commit: str) -> None:
    wanted = [(path, size) for path, size in files if _wanted(path)]
    weights = sum(size for path, size in wanted if path.endswith(".safetensors"))
    total = sum(size for _, size in wanted)
    print(json.dumps({"total_bytes": total, "weights_bytes": weights, "commit": commit}))  # noqa: T201


def _hugging_face(id_: str, folder: str, verb: str) -> None:
    from huggingface_hub import HfApi, snapshot_download

    if verb == "list":
        info = HfApi().model_info(id_, files_metadata=True)
        _describe([(each.rfilename, each.size or 0) for each in info.siblings or []], info.sha or "")
    else:
        # Pinned to the commit that `list` saw, so that one folder never mixes two states of a repository.
        snapshot_download(
            id_, revision=verb, local_dir=folder,
            allow_patterns=list(ALLOWED), ignore_patterns=list(IGNORED), max_workers=4,
        )  # fmt: skip


def _modelscope(id_: str, folder: str, verb: str) -> None:
    from modelscope.hub.api import HubApi
    from modelscope.hub.snapshot_download import snapshot_download

    if verb == "list":
        files = HubApi().get_model_files(id_, recursive=True)
        _describe([(each["Path"], each["Size"]) for each in files if each.get("Type") != "tree"], "latest")
    else:
        snapshot_download(id_, local_dir=folder, allow_patterns=list(ALLOWED), ignore_patterns=list(IGNORED))


def _refused(error: Exception) -> bool:
    """Whether the hub answered and said no, as against not answering."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "status_code", None)
    return (status is not None and 400 <= int(status) < 500) or type(error).__name__ in (
        "RepositoryNotFoundError", "GatedRepoError", "NotExistError", "NotFoundError", "AuthenticationError",
    )  # fmt: skip


def main() -> int:
    kind, id_, folder, verb = sys.argv[1:]
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        (_hugging_face if kind == "hf" else _modelscope)(id_, folder, verb)
    except Exception as error:  # noqa: BLE001 - top of the process: whatever a hub's library raises is told and judged
        text = str(error).strip() or type(error).__name__
        print(text.splitlines()[0], file=sys.stderr)  # noqa: T201
        return REFUSED if _refused(error) else UNREACHABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
