"""The files of a session under their own names, as a revision wants them."""

import shutil
from pathlib import Path

from orchestrator.library.archive import ArchiveLimits, unpack
from orchestrator.library.uploads.declaration import is_single_archive
from orchestrator.library.uploads.live import LiveSession
from orchestrator.library.uploads.types import UploadLimits
from replicas.weights import durable
from replicas.weights.manifest import Manifest, ManifestFile, manifest_of


def build_staging(live: LiveSession, limits: UploadLimits, free_bytes: int) -> tuple[Path, Manifest]:
    """Link the received files into `staging/`, or unpack the one archive there; begins afresh after a kill.

    Raises ModelRejectedError naming the member of an archive that is at fault; then there is no `staging/`.
    """
    shutil.rmtree(live.staging, ignore_errors=True)
    try:
        manifest = _fill(live, limits, free_bytes)
        durable.sync_folders_below(live.staging)
    except BaseException:
        shutil.rmtree(live.staging, ignore_errors=True)
        raise
    return live.staging, manifest


def _fill(live: LiveSession, limits: UploadLimits, free_bytes: int) -> Manifest:
    session = live.session
    if is_single_archive(session.files):
        room = ArchiveLimits(
            total_bytes=max(0, free_bytes - limits.reserve_bytes),
            ratio=limits.archive_ratio,
            members=limits.archive_members,
        )
        return unpack(live.file_path(0), live.staging, room, lambda _: None)
    rows = []
    for number, file in enumerate(session.files):
        target = live.staging / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        durable.link_or_copy(live.file_path(number), target)
        rows.append(ManifestFile(file.path, file.size_bytes, session.received[number]))
    return manifest_of(rows)
