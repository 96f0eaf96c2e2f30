"""What becomes of a model's record as weights come in, pass, fail and go. PURE."""

from msgspec import structs

from orchestrator.sentences import Sentence
from orchestrator.types import Import, Model, ModelState, Progress, Revision


def importing(model: Model | None, name: str, wanted: Import, description: str) -> Model:
    """An import has begun."""
    model = model or Model(name=name, created_at=wanted.progress.started_at)
    return structs.replace(model, importing=wanted, failure=None, description=description or model.description)


def told(model: Model | None, import_id: str, progress: Progress) -> Model | None:
    """How far the import is. None: nobody waits for it any more."""
    if model is None or model.importing is None or model.importing.id != import_id:
        return None
    return structs.replace(model, importing=structs.replace(model.importing, progress=progress))


def failed(model: Model | None, import_id: str, reason: Sentence) -> Model | None:
    """The import ended without a revision. None: nobody waits for it any more."""
    if model is None or model.importing is None or model.importing.id != import_id:
        return None
    revisions = tuple(
        structs.replace(each, state=ModelState.REJECTED, reason=reason)
        if each.arrival == import_id and each.state is ModelState.VERIFYING
        else each
        for each in model.revisions
    )
    return structs.replace(model, importing=None, failure=reason, revisions=revisions)


def arrived(model: Model | None, name: str, revision: Revision, description: str = "") -> Model:
    """All files of a revision are here and are being verified."""
    model = model or Model(name=name, created_at=revision.created_at)
    others = tuple(each for each in model.revisions if each.digest != revision.digest)
    return structs.replace(
        model, revisions=(*others, revision), description=description or model.description, failure=None
    )


def settled(model: Model | None, revision: Revision) -> Model | None:
    """A revision is ready, and the model stands for it now, or rejected. None: nobody waits for it any more."""
    if model is None or all(each.arrival != revision.arrival for each in model.revisions):
        return None
    revisions = tuple(revision if each.arrival == revision.arrival else each for each in model.revisions)
    ready = revision.state is ModelState.READY
    return structs.replace(
        _without_import(model, revision.arrival),
        revisions=revisions,
        revision=revision.digest if ready else model.revision,
    )


def came_again(model: Model | None, digest: str, arrival: str) -> Model | None:
    """A revision that is ready was brought once more: the model stands for it. None: it is not there any more."""
    if not is_ready(model, digest):
        return None
    assert model is not None  # noqa: S101 - or it would not be ready
    return structs.replace(_without_import(model, arrival), revision=digest, failure=None)


def without(model: Model, digest: str) -> Model:
    """The record without a revision; it stands for the newest ready one that is left, if there is one."""
    left = tuple(each for each in model.revisions if each.digest != digest)
    if model.revision != digest:
        return structs.replace(model, revisions=left)
    ready = [each.digest for each in left if each.state is ModelState.READY]
    return structs.replace(model, revisions=left, revision=ready[-1] if ready else "")


def is_ready(model: Model | None, digest: str) -> bool:
    """Whether the library has this revision of the model."""
    found = None if model is None else model.find(digest)
    return found is not None and found.state is ModelState.READY


def _without_import(model: Model, arrival: str) -> Model:
    if model.importing is None or model.importing.id != arrival:
        return model
    return structs.replace(model, importing=None)
