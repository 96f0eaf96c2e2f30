import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import ModelRejectedError
from orchestrator.library.adopt import hash_folder
from orchestrator.library.archive import ArchiveLimits, unpack
from replicas.weights.manifest import Manifest

FILES = {"config.json": b"{}", "sub/model.safetensors": b"weights" * 300_000, "empty.txt": b""}
ROOM = ArchiveLimits(total_bytes=2**30)
LONG = "a" * 90 + "/" + "b" * 90 + ".json"


def tar(path: Path, files: dict[str, bytes], mode: str = "w", format_: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, mode, format=format_) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def tar_of(path: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def zip_of(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def zip_with(path: Path, change: Callable[[zipfile.ZipInfo], None], name: str = "a.json") -> Path:
    info = zipfile.ZipInfo(name)
    change(info)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, b"x")
    return path


def content(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def unpacked(archive: Path, limits: ArchiveLimits = ROOM) -> Manifest:
    return unpack(archive, archive.with_name("out"), limits, lambda _: None)


@pytest.mark.parametrize("top", ["", "my-model/", "./", "./my-model/"])
@pytest.mark.parametrize(
    "make",
    [
        lambda path, files: tar(path, files),
        lambda path, files: tar(path, files, "w:gz"),
        lambda path, files: tar(path, files, format_=tarfile.GNU_FORMAT),
        lambda path, files: tar(path, files, format_=tarfile.USTAR_FORMAT),
        zip_of,
        lambda path, files: zip_of(path, files, zipfile.ZIP_STORED),
    ],
    ids=["pax", "gzip", "gnu", "ustar", "deflated", "stored"],
)
def test_unpack_gives_the_files_without_the_folder_around_them(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path], top: str
) -> None:
    hidden = {".DS_Store": b"x", "sub/._model.safetensors": b"x"}
    archive = make(tmp_path / "archive", {top + name: data for name, data in (FILES | hidden).items()})
    manifest = unpacked(archive)
    assert content(tmp_path / "out") == FILES
    assert manifest == hash_folder(tmp_path / "out", lambda _: None)


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_unpack_reads_long_and_chinese_names(tmp_path: Path, format_: int) -> None:
    files = {LONG: b"long", "中文/配置.json": b"{}"}
    unpacked(tar(tmp_path / "archive", files, format_=format_))
    assert content(tmp_path / "out") == files


def test_unpack_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[int] = []
    unpack(tar(tmp_path / "archive", FILES), tmp_path / "out", ROOM, told.append)
    assert told == sorted(told)
    assert told[-1] == sum(map(len, FILES.values()))


HOSTILE_TARS = {
    "parent": ([entry("../evil.json")], "evil.json"),
    "absolute": ([entry("/etc/evil.json")], "evil.json"),
    "inner parent": ([entry("a/../../evil.json")], "evil.json"),
    "hidden parent": ([entry(".x/../../evil.json")], "evil.json"),
    "backslash": ([entry("a\\evil.json")], "backslash"),
    "symlink": ([entry("evil", tarfile.SYMTYPE, "/etc/passwd")], "evil in the archive is a symbolic link"),
    "hard link": ([entry("evil", tarfile.LNKTYPE, "/etc/passwd")], "evil in the archive is a hard link"),
    "device": ([entry("evil", tarfile.CHRTYPE)], "evil in the archive is a device"),
    "pipe": ([entry("evil", tarfile.FIFOTYPE)], "evil in the archive is a pipe"),
    "unknown kind": ([entry("evil", b"Z")], "unknown kind"),
    "twice": ([entry("a.json"), entry("a.json")], "a.json in the archive is there twice"),
    "twice but for case": ([entry("a.json"), entry("A.json")], "A.json in the archive is there twice"),
    "file and folder": ([entry("a"), entry("a/b.json")], "both as a file and as a folder"),
    "folder and file": ([entry("a/b.json"), entry("a")], "both as a file and as a folder"),
    "nothing": ([], "holds no file"),
    "folders alone": ([entry("a", tarfile.DIRTYPE)], "holds no file"),
}


@pytest.mark.parametrize("case", HOSTILE_TARS)
def test_unpack_of_a_hostile_tar_names_the_member_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    infos, reason = HOSTILE_TARS[case]
    archive = tar_of(tmp_path / "archive.tar", *infos)
    with pytest.raises(ModelRejectedError, match=reason):
        unpacked(archive)
    assert list(tmp_path.iterdir()) == [archive]


def _encrypted(info: zipfile.ZipInfo) -> None:
    info.flag_bits |= 1


def _symlink(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


def _device(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFCHR | 0o777) << 16


def _lzma(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_LZMA


HOSTILE_ZIPS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "parent": (lambda path: zip_of(path, {"../evil.json": b""}), "evil.json"),
    "absolute": (lambda path: zip_of(path, {"/evil.json": b""}), "evil.json"),
    "symlink": (lambda path: zip_with(path, _symlink), "a.json in the archive is a symbolic link"),
    "device": (lambda path: zip_with(path, _device), "a.json in the archive is no file"),
    "lzma": (lambda path: zip_with(path, _lzma), "a.json in the archive is packed by a method"),
    "cut off": (lambda path: cut(zip_of(path, FILES)), "no zip archive"),
    "damaged": (lambda path: damaged(zip_of(path, FILES, zipfile.ZIP_STORED)), "model.safetensors in the archive is"),
    "encrypted": (lambda path: encrypted(zip_of(path, {"a.json": b"x"})), "a.json in the archive is encrypted"),
}


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def damaged(path: Path) -> Path:
    path.write_bytes(path.read_bytes().replace(b"weightsweights", b"weightsWeights", 1))
    return path


def encrypted(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("case", HOSTILE_ZIPS)
def test_unpack_of_a_hostile_zip_names_the_member_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    make, reason = HOSTILE_ZIPS[case]
    archive = make(tmp_path / "archive.zip")
    with pytest.raises(ModelRejectedError, match=reason):
        unpacked(archive)
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_unpack_of_a_cut_off_tar_says_so(tmp_path: Path, compressed: bool, share: float) -> None:
    data = tar(tmp_path / "whole", {"a.json": b"", "model.safetensors": bytes(range(256)) * 9999}).read_bytes()
    data = gzip.compress(data, 1) if compressed else data
    archive = tmp_path / "archive.tar"
    archive.write_bytes(data[: int(len(data) * share)])
    (tmp_path / "whole").unlink()
    with pytest.raises(ModelRejectedError, match=r"cut off|no tar archive"):
        unpacked(archive)
    assert list(tmp_path.iterdir()) == [archive]


def test_unpack_of_a_bomb_stops_at_the_ratio(tmp_path: Path) -> None:
    limits = ArchiveLimits(total_bytes=2**40, ratio=50, ratio_from_bytes=2**20)
    for archive in (
        zip_of(tmp_path / "bomb.zip", {"config.json": b"{}", "model.safetensors": bytes(2**24)}),
        tar(tmp_path / "bomb.tgz", {"config.json": b"{}", "model.safetensors": bytes(2**24)}, "w:gz"),
    ):
        with pytest.raises(ModelRejectedError, match=r"model\.safetensors unpacks to far more"):
            unpacked(archive, limits)
    assert not (tmp_path / "out").exists()


def test_unpack_of_more_than_there_is_room_for_stops_before_it_is_written(tmp_path: Path) -> None:
    told: list[int] = []
    archive = tar(tmp_path / "archive.tar", FILES)
    with pytest.raises(ModelRejectedError, match=r"sub/model\.safetensors would bring"):
        unpack(archive, tmp_path / "out", ArchiveLimits(total_bytes=1000), told.append)
    assert told == [2]


def test_unpack_of_a_million_entries_is_refused_at_the_cap(tmp_path: Path) -> None:
    ten_thousand = gzip.compress(entry("a", tarfile.DIRTYPE).tobuf() * 10_000, compresslevel=1)
    archive = tmp_path / "many.tgz"
    archive.write_bytes(ten_thousand * 100)
    with pytest.raises(ModelRejectedError, match=r"entry 2,001 of the archive"):
        unpacked(archive, ArchiveLimits(total_bytes=2**30, members=2000))


def test_unpack_of_a_zip_with_a_huge_directory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    archive = tmp_path / "many.zip"
    record = zip_of(tmp_path / "one.zip", {"a": b""}).read_bytes()
    start, end = record.index(b"PK\1\2"), record.index(b"PK\5\6")
    directory = record[start:end] * 1_000_000
    tail = bytearray(record[end:])
    tail[12:16] = len(directory).to_bytes(4, "little")
    archive.write_bytes(record[:start] + directory + tail)
    with pytest.raises(ModelRejectedError, match=r"directory of 47,000,000 bytes"):
        unpacked(archive)


def test_unpack_of_a_header_bomb_is_refused_by_its_announced_size(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        archive = tmp_path / "archive.tar"
        archive.write_bytes(entry("bomb", kind, size=2**33).tobuf(tarfile.GNU_FORMAT))
        with pytest.raises(ModelRejectedError, match="header of 8,589,934,592 bytes"):
            unpacked(archive)
