"""What becomes of a model's record as revisions arrive, pass and fail. PURE."""

from msgspec import structs

from orchestrator.library.records import UPLOADED
from orchestrator.types import Model, ModelState, Revision


def arrived(model: Model | None, name: str, revision: Revision, description: str) -> Model:
    """All files of a revision are here and are being verified."""
    if model is None:
        model = Model(name=name, source=UPLOADED, state=ModelState.VERIFYING, created_at=revision.created_at)
    others = tuple(each for each in model.revisions if each.digest != revision.digest)
    tried_again = model.state is ModelState.REJECTED and model.source == UPLOADED
    return structs.replace(
        model,
        revisions=(*others, revision),
        description=description or model.description,
        state=ModelState.VERIFYING if tried_again else model.state,
        reason="" if tried_again else model.reason,
    )


def settled(model: Model | None, revision: Revision) -> Model | None:
    """A revision is ready, and the model stands for it now, or rejected. None: nobody waits for it any more."""
    if model is None or all(each.upload_id != revision.upload_id for each in model.revisions):
        return None
    revisions = tuple(revision if each.upload_id == revision.upload_id else each for each in model.revisions)
    model = structs.replace(model, revisions=revisions)
    if revision.state is ModelState.READY:
        return standing_for(model, revision)
    if model.state is ModelState.READY:
        return model
    return structs.replace(model, state=ModelState.REJECTED, reason=revision.reason)


def without(model: Model, digest: str) -> Model:
    """The record without a revision; it stands for the newest ready one that is left, if there is one."""
    left = tuple(each for each in model.revisions if each.digest != digest)
    model = structs.replace(model, revisions=left)
    if model.revision != digest:
        return model
    ready = [each for each in left if each.state is ModelState.READY]
    if ready:
        return standing_for(model, ready[-1])
    reason = "Its revision was removed. Push or import it again."
    return structs.replace(model, state=ModelState.REJECTED, reason=reason, revision="", path="", size_bytes=0)


def standing_for(model: Model, revision: Revision) -> Model:
    """The record of a model that stands for one of its revisions."""
    return structs.replace(
        model,
        state=ModelState.READY,
        reason="",
        revision=revision.digest,
        path=revision.path,
        size_bytes=revision.size_bytes,
        architecture=revision.architecture,
        max_model_len=revision.max_model_len,
        progress=None,
    )


def is_ready(model: Model | None, digest: str) -> bool:
    """Whether the library has this revision of the model."""
    return model is not None and any(
        each.digest == digest and each.state is ModelState.READY for each in model.revisions
    )
