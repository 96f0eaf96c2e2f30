"""A session in memory and its folder on disk.

ID/session.json     the record; a folder without it is swept
ID/files/N          what came of the N-th file so far
ID/parts/NAME       partial uploads
ID/staging/         the revision's files under their own names, once complete
ID/manifest.json    of what is in `staging/`
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

import msgspec
from msgspec import structs

from orchestrator.library.uploads import errors
from orchestrator.library.uploads.protocol import Place
from orchestrator.library.uploads.types import Session, SessionState
from replicas.weights import durable
from replicas.weights.intake import Intake, WriteAll

RECORD = "session.json"


class LiveSession:
    """One session, its record and its files. Methods but `save` and `drop_data` do not block for long."""

    def __init__(self, folder: Path, session: Session, write: WriteAll) -> None:
        self.folder = folder
        self.session = session
        self.ending = asyncio.Lock()
        """Held while the session is completed, joined or deleted."""
        self._saving = asyncio.Lock()
        self._write = write
        self._intakes: dict[str, Intake] = {}

    @property
    def staging(self) -> Path:
        return self.folder / "staging"

    @property
    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"

    def file_path(self, number: int) -> Path:
        return self.folder / "files" / str(number)

    def part_path(self, name: str) -> Path:
        return self.folder / "parts" / name

    def save(self) -> None:
        """Blocks until the record is on disk."""
        durable.write(self.folder / RECORD, msgspec.json.encode(self.session), self.folder / f".{token_hex(4)}")

    async def change(self, run: Callable[..., asyncio.Future[None]], change: Callable[[Session], Session]) -> None:
        """Apply `change` and wait until it is on disk; changes come one after the other."""
        async with self._saving:
            before, self.session = self.session, change(self.session)
            try:
                await run(self.save)
            except OSError:
                self.session = before
                raise

    def check_receiving(self) -> None:
        """Raises UploadRefusedError (410, 409, 423)."""
        if self.session.state is SessionState.EXPIRED:
            raise errors.expired(self.session.name)
        if self.session.state is SessionState.COMPLETE:
            raise errors.UploadRefusedError(409, f"The upload of {self.session.name} is complete already.")
        if self.ending.locked():
            raise errors.busy(self.session.name)

    def number_of(self, path: str) -> int:
        """Raises UploadRefusedError (404)."""
        for number, file in enumerate(self.session.files):
            if file.path == path:
                return number
        raise errors.not_found(f"file {path!r} in this upload")

    def intake(self, name: str) -> Intake:
        """Of a file, by its number, or of a part, by its name. Raises UploadRefusedError (404)."""
        known = self._intakes.get(name)
        if known is None:
            if _is_number(name) and int(name) < len(self.session.files):
                size, path = self.session.files[int(name)].size_bytes, self.file_path(int(name))
            elif name in self.session.parts:
                size, path = self.session.parts[name], self.part_path(name)
            else:
                raise errors.not_found(f"file {name!r} in this upload")
            # Views ask from a thread: whoever is first, both get the same one.
            known = self._intakes.setdefault(name, Intake(path, size, self._write))
        return known

    def forget_intake(self, name: str) -> None:
        """The next look at the file goes to the disk."""
        self._intakes.pop(name, None)

    def place(self, name: str) -> Place:
        """How far a file or part is."""
        intake = self.intake(name)
        path = self.session.files[int(name)].path if name.isdigit() else f"Part {name}"
        return Place(path, intake.offset, intake.size_bytes, intake.busy)

    def outstanding_bytes(self) -> int:
        """Declared and not sent yet."""
        if self.session.state is not SessionState.RECEIVING:
            return 0
        arrived = sum(self.intake(str(number)).offset for number in range(len(self.session.files)))
        return self.session.total_bytes - arrived

    def last_touched(self) -> float:
        """Unix seconds: when something was sent or changed last."""
        files = [*(self.folder / "files").glob("*"), *(self.folder / "parts").glob("*")]
        # What was linked from the library is as old as there.
        return max([self.session.updated_at, *(path.stat().st_mtime for path in files)])

    def drop_data(self) -> None:
        """Remove all but the record."""
        for name in ("files", "parts", "staging", "manifest.json"):
            durable.remove(self.folder / name)
        self._intakes.clear()

    async def expire(self, run: Callable[..., asyncio.Future[None]]) -> None:
        """Its data goes, its record stays to say so."""
        await self.change(run, lambda session: structs.replace(session, state=SessionState.EXPIRED))
        await run(self.drop_data)


def _is_number(name: str) -> bool:
    """Written in one way only: two names of one file would be two requests that write to it."""
    return name.isascii() and name.isdigit() and len(name) < 6 and str(int(name)) == name
