"""Asks S3-compatible storage, in a process of its own: `python -m orchestrator.library.s3 s3 BUCKET/PREFIX …`.

`… list REVISION` prints one JSON line, a Found; REVISION says nothing here, a bucket has none. `… fetch FOLDER` reads a
Listing as JSON on stdin and fetches exactly its files, each only if it is still the object that was listed (its ETag).
What came of an object lies in FOLDER/.cache under its key and ETag; the next fetch goes on behind the last byte.

Credentials, region, endpoint and profile come from the environment as with every AWS tool (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, …); without any credentials
the bucket is asked anonymously. Errors are one line on stderr. Exit status as of `orchestrator.library.hub`.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import msgspec
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from s3fs import S3FileSystem

from orchestrator.library.hub import REFUSED, UNREACHABLE, Found
from orchestrator.library.listing import Listing, RemoteFile
from replicas.parent_death import die_with_parent

_FILES_AT_ONCE = 4
_PIECE_BYTES = 2**20
_OBJECTS_AT_MOST = 10_000
_TRIES = 5
"""Without a byte in between."""
_FIRST_PAUSE_S = 0.2
_SETTINGS = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"max_attempts": 3, "mode": "standard"},
    # Sums over whole objects; other makes of storage do not all have them.
    "response_checksum_validation": "when_required",
}
_BROKEN_OFF = (HTTPClientError, NoConnectionError, aiohttp.ClientError, ConnectionError, TimeoutError)
_NO_ACCESS = (
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "401",
    "403",
)
_GONE_OR_NEW = ("PreconditionFailed", "NoSuchKey", "404", "412")


class _RefusedError(Exception):
    """The storage answered, and what it said is final."""


class Bucket:
    """One prefix of one bucket, through a client that is open."""

    def __init__(self, client: Any, id_: str) -> None:
        self._client = client
        self.bucket, _, prefix = id_.partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    async def list(self) -> Found:
        """Raises _RefusedError for more objects than one model has."""
        files: list[RemoteFile] = []
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._prefix)
        async for page in pages:
            for each in page.get("Contents", ()):
                path = each["Key"].removeprefix(self._prefix)
                if path and not path.endswith("/"):
                    files.append(RemoteFile(path, each["Size"], each["ETag"].strip('"')))
            if len(files) > _OBJECTS_AT_MOST:
                raise _RefusedError(
                    f"There are more than {_OBJECTS_AT_MOST:,} objects below s3://{self.bucket}/{self._prefix}. "
                    "Give the folder of one model."
                )
        return Found(tuple(files))

    async def fetch(self, files: tuple[RemoteFile, ...], folder: Path) -> None:
        """All of `files` below `folder`. They appear together, after the last byte of the last one."""
        parts = {each: _part(folder, each) for each in files}
        gate = asyncio.Semaphore(_FILES_AT_ONCE)

        async def one(file: RemoteFile) -> None:
            async with gate:
                await self._go_on(file, parts[file])

        async with asyncio.TaskGroup() as group:
            for each in files:
                group.create_task(one(each))
        for file, part in parts.items():
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)

    async def _go_on(self, file: RemoteFile, part: Path) -> None:
        """Fetch what `part` lacks. A connection that breaks off is taken up again as long as bytes come."""
        tries = 0
        with closing(_opened(part, file.size_bytes)) as out:
            while (done := out.tell()) < file.size_bytes:
                try:
                    await self._transfer(file, out)
                except (*_BROKEN_OFF, ClientError) as error:
                    if isinstance(error, ClientError) and _code(error) in _GONE_OR_NEW:
                        raise _RefusedError(_replaced(file)) from error
                    if isinstance(error, ClientError) and not _is_trouble(error):
                        raise
                    tries = tries + 1 if out.tell() <= done else 0
                    if tries == _TRIES:
                        raise
                    await asyncio.sleep(_FIRST_PAUSE_S * 2**tries)

    async def _transfer(self, file: RemoteFile, out: BinaryIO) -> None:
        done = out.tell()
        answer = await self._client.get_object(
            Bucket=self.bucket, Key=self._prefix + file.path, IfMatch=f'"{file.etag}"', Range=f"bytes={done}-"
        )
        async with answer["Body"] as body:
            if answer["ETag"].strip('"') != file.etag:
                raise _RefusedError(_replaced(file))
            if answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
                out.seek(0)
                out.truncate()
            while piece := await body.read(_PIECE_BYTES):
                await asyncio.to_thread(out.write, piece)
                if out.tell() > file.size_bytes:
                    raise _RefusedError(_replaced(file))


def _part(folder: Path, file: RemoteFile) -> Path:
    return folder / ".cache" / "s3" / hashlib.sha256(f"{file.path}\0{file.etag}".encode()).hexdigest()


def _opened(part: Path, size_bytes: int) -> BinaryIO:
    """Unbuffered, so that what came is on the file when the process is killed."""
    part.parent.mkdir(parents=True, exist_ok=True)
    if part.exists() and part.stat().st_size > size_bytes:
        part.unlink()
    out = part.open("ab", buffering=0)
    out.seek(0, os.SEEK_END)
    return out


@asynccontextmanager
async def _opened_bucket(id_: str) -> AsyncIterator[Bucket]:
    anonymous = await get_session().get_credentials() is None
    storage = S3FileSystem(anon=anonymous, asynchronous=True, skip_instance_cache=True, config_kwargs=_SETTINGS)
    client = await storage.set_session()
    try:
        yield Bucket(client, id_)
    finally:
        await client.close()


def _is_trouble(error: ClientError) -> bool:
    """Whether the storage has trouble of its own, which may pass."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _replaced(file: RemoteFile) -> str:
    return f"{file.path} was replaced or removed while the bucket was being read. Import again to get its new state."


def _told(error: BaseException, bucket: str) -> tuple[int, str]:
    """Exit status, and the sentence for a person."""
    if isinstance(error, BaseExceptionGroup):
        return _told(error.exceptions[0], bucket)
    if isinstance(error, _RefusedError):
        return REFUSED, str(error)
    code = _code(error) if isinstance(error, ClientError) else ""
    if code in ("NoSuchBucket", "InvalidBucketName"):
        return REFUSED, f"There is no bucket {bucket!r} there. Check its name and AWS_ENDPOINT_URL."
    if code in _NO_ACCESS:
        return REFUSED, (
            f"The bucket {bucket!r} may not be read with these credentials ({code}). Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to ones that may list and read it."
        )
    if isinstance(error, ClientError) and not _is_trouble(error):
        return REFUSED, f"The storage refuses: {error}."
    where = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"
    if isinstance(error, (*_BROKEN_OFF, ClientError)):
        return UNREACHABLE, (
            f"The storage at {where} cannot be reached or has trouble ({error or type(error).__name__}). "
            "Check AWS_ENDPOINT_URL and the network."
        )
    return REFUSED, f"The settings for {where} cannot be used: {error}. Check the AWS_ variables and ~/.aws."


async def _run(id_: str, verb: str, argument: str) -> None:
    async with _opened_bucket(id_) as bucket:
        if verb == "list":
            print(msgspec.json.encode(await bucket.list()).decode())  # noqa: T201
        else:
            listing = msgspec.json.decode(sys.stdin.buffer.read(), type=Listing)
            await bucket.fetch(listing.files, Path(argument))


def main() -> int:
    die_with_parent(os.getppid())  # one that lived on would write beside the next one
    _, id_, verb, argument = sys.argv[1:]
    try:
        asyncio.run(_run(id_, verb, argument))
    except* (_RefusedError, BotoCoreError, ClientError, *_BROKEN_OFF, ValueError) as errors:
        status, sentence = _told(errors, id_.partition("/")[0])
        print(" ".join(sentence.split()), file=sys.stderr)  # noqa: T201
        raise SystemExit(status) from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
