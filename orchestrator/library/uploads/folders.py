"""The folders of all sessions: made whole, found again, removed whole."""

import logging
from pathlib import Path

import msgspec
from msgspec import structs

from orchestrator.errors import RoundhouseError
from orchestrator.library.uploads.declaration import check_space, is_single_archive
from orchestrator.library.uploads.live import RECORD, LiveSession
from orchestrator.library.uploads.types import DeclaredFile, Session
from replicas.weights import durable
from replicas.weights.contents import Contents, Reached
from replicas.weights.intake import WriteAll

_log = logging.getLogger("roundhouse.library")


class SessionFolders:
    """Below `root`; names that begin with a dot are being made or removed. Methods block."""

    def __init__(self, root: Path, contents: Contents, reserve_bytes: int, reached: Reached, write: WriteAll) -> None:
        self._root = root
        self._contents = contents
        self._reserve_bytes = reserve_bytes
        self._reached = reached
        self._write = write

    def load(self) -> list[LiveSession]:
        """Every session that is whole; what a killed process was making or removing goes."""
        self._root.mkdir(parents=True, exist_ok=True)
        found = []
        for folder in self._root.iterdir():
            try:
                session = msgspec.json.decode((folder / RECORD).read_bytes(), type=Session)
            except (FileNotFoundError, NotADirectoryError):
                durable.remove(folder)
                continue
            except msgspec.DecodeError as error:
                _log.error("%s is not the record of an upload (%s): it is left as it is", folder / RECORD, error)
                continue
            if folder.name != session.id:
                durable.remove(folder)
                continue
            live = LiveSession(folder, session, self._write)
            live.outstanding_bytes()  # looks at every file, and syncs here what a killed process left unsynced
            found.append(live)
        return found

    def make(self, session: Session, outstanding_bytes: int) -> LiveSession:
        """A new session; what the library has of it is linked in. Raises UploadRefusedError (507) and OSError."""
        building = self._root / f".{session.id}"
        live = LiveSession(building, session, self._write)
        try:
            (building / "files").mkdir(parents=True)
            (building / "parts").mkdir()
            present = {}
            for number, file in enumerate(session.files):
                if file.sha256 and self.take(file, live.file_path(number)):
                    present[number] = file.sha256
            missing = session.total_bytes - sum(session.files[number].size_bytes for number in present)
            if is_single_archive(session.files):
                missing *= 2  # for a while it is there packed and unpacked
            check_space(missing, outstanding_bytes, self._contents.disk_free(), self._reserve_bytes)
            live.session = structs.replace(session, received=present)
            live.save()
            durable.sync_folders_below(building)
            self._reached("session-written")
            building.rename(self._root / session.id)
            durable.sync_folder(self._root)
        except (OSError, RoundhouseError):
            durable.remove(building)
            raise
        return LiveSession(self._root / session.id, live.session, self._write)

    def take(self, file: DeclaredFile, target: Path) -> bool:
        """Put the file's content at `target` if the library has it."""
        target.unlink(missing_ok=True)
        return self._contents.take(file.sha256, file.size_bytes, target)

    def remove(self, live: LiveSession) -> None:
        """In one step out of sight, then from the disk."""
        gone = live.folder.with_name(f".{live.session.id}")
        live.folder.rename(gone)
        durable.sync_folder(self._root)
        durable.remove(gone)
