"""Answers that are not read into memory: newline-delimited JSON, and files to download. Both are bounded."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Final

import httpx

from core.contract import Json
from core.errors import ProtocolError, StoreError, TransientError
from core.http.answers import Asked, transport_error

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 256 * 1024


def json_lines(asked: Asked, response: httpx.Response) -> Iterator[Json]:
    """
    Yield each line of an open response.

    Cut at line feeds only: JSON strings may hold the other characters that Python calls line ends.
    """
    rest = b""
    try:
        for chunk in response.iter_bytes():
            *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
            for line in lines:
                if line and not line.isspace():
                    yield _parse(asked, line)
            if len(rest) > MAX_LINE_BYTES:
                raise ProtocolError(f"{asked.words} was answered with a line of more than {MAX_LINE_BYTES} bytes")
    except httpx.HTTPError as error:
        raise transport_error(asked, error) from error
    if rest and not rest.isspace():
        yield _parse(asked, rest)


def _parse(asked: Asked, line: bytes) -> Json:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError(f"{asked.words} was answered with a line that is not JSON, or only the beginning of it") from None


def save(asked: Asked, response: httpx.Response, file: IO[bytes], max_bytes: int) -> None:
    """Write an open response to *file*, gzip undone, no more than *max_bytes* of it."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise ProtocolError(f"{asked.words} was answered in an encoding that we did not ask for")
    chunks = _gunzip(asked, _raw(asked, response))
    if encoding in ("gzip", "x-gzip"):
        chunks = _gunzip(asked, chunks)  # the transfer's, and within it the file's own
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise ProtocolError(f"{asked.words} was answered with more than {max_bytes} bytes; what came was thrown away")
        try:
            file.write(chunk)
        except OSError as error:
            raise StoreError(f"a download cannot be kept ({error.strerror})") from error


def _raw(asked: Asked, response: httpx.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_raw()
    except httpx.HTTPError as error:
        raise transport_error(asked, error) from error


def _gunzip(asked: Asked, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *chunks* as they are, or unpacked where they begin as gzip does; never much of it in memory at once."""
    stream = iter(chunks)
    head = b""
    for chunk in stream:
        head += chunk
        if len(head) >= len(_GZIP_MAGIC):
            break
    if not head.startswith(_GZIP_MAGIC):
        yield head
        yield from stream
        return
    unpacker = zlib.decompressobj(wbits=31)
    data = head
    try:
        while True:
            if unpacker.eof:  # gzip files may stand one after another
                data = unpacker.unused_data + data
                if not data.startswith(_GZIP_MAGIC):
                    return  # padding
                unpacker = zlib.decompressobj(wbits=31)
            yield unpacker.decompress(data, _CHUNK)
            data = unpacker.unconsumed_tail
            if not data and not (unpacker.eof and unpacker.unused_data):
                following = next(stream, None)
                if following is None:
                    break
                data = following
            elif not data:
                continue
    except zlib.error:
        raise ProtocolError(f"{asked.words} was answered with damaged gzip") from None
    if not unpacker.eof:
        raise TransientError(f"{asked.words} was answered with only the beginning of a gzip file")
