"""
An export's archive, read line by line: a zip of gzip files of JSON lines. Nothing of it is unpacked to disk or held whole.

What the entries are called is never a path to us. Bytes are counted on both layers, so that a small archive cannot unpack
without end. What the lines mean is `events.py`'s.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from core.errors import ProtocolError

MAX_RATIO: Final = 250
"""Bytes unpacked for one of the archive; real ones have 10 to 30, and gzip cannot pass 1032."""
SMALL: Final = 64 * 1024 * 1024
"""Bytes that any archive may unpack to."""
MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of one event."""

_NAME = re.compile(r"[\w.#-]{1,100}")
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(slots=True)
class _Meter:
    """How many more bytes may come out of an archive."""

    left: int

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ProtocolError("the export's archive unpacks to far more than it should; nothing more of it was read")


class _Metered(io.BufferedIOBase):
    """A member of the zip, what is read of it counted."""

    def __init__(self, member: IO[bytes], meter: _Meter) -> None:
        self._member, self._meter = member, meter

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._member.read(-1 if size is None else size)
        self._meter.spend(len(data))
        return data


def size_of(file: IO[bytes]) -> int:
    """Return the bytes in *file*; it is at its beginning afterwards."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def read_lines(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """
    Yield the lines of an archive, each with its place: `153957_2026-03-02_10#0.json.gz:17`.

    Raises:
        ProtocolError: it is damaged, cut short, or unpacks to more than it should.
    """
    meter = _Meter(max(SMALL, MAX_RATIO * size_of(file)))
    try:
        with zipfile.ZipFile(file) as archive:
            for number, entry in enumerate(archive.infolist(), start=1):
                if not entry.is_dir():
                    with archive.open(entry) as member:
                        yield from _member_lines(member, meter, _shown(entry.filename, number))
    except _DAMAGE as error:
        kept = type(error).__name__
        raise ProtocolError(f"the export's archive is damaged or only the beginning of one ({kept})") from None


def _member_lines(member: IO[bytes], meter: _Meter, name: str) -> Iterator[tuple[str, bytes]]:
    fileobj: Any = _Metered(member, meter)  # the type of gzip's parameter asks for a `seek` that is never called
    with gzip.GzipFile(fileobj=fileobj) as unpacked:
        number = 0
        while line := unpacked.readline(MAX_LINE + 1):
            number += 1
            meter.spend(len(line))
            if len(line) > MAX_LINE:
                raise ProtocolError(f"the export's archive has a line of more than {MAX_LINE} bytes")
            if not line.isspace():
                yield f"{name}:{number}", line


def _shown(name: str, number: int) -> str:
    """Return what an entry is called in messages: its last part, where that is harmless to show."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return last if _NAME.fullmatch(last) else f"file {number}"
