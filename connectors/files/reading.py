"""
Files as rows: CSV, TSV and JSON Lines, one row at a time, packed with gzip or not. Nothing holds more than a line.

A row that cannot be read is a BadRecord with its file and line; a file that makes no sense at all is a ProtocolError.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Final

from connectors.files.config import FileStream
from core.contract import BadRecord
from core.errors import ProtocolError

Row = Mapping[str, Any]

MAX_LINE: Final = 8 * 1024 * 1024  # characters or bytes; a file without line ends would be read whole
CHUNK: Final = 1 << 20


def digest(file: IO[bytes]) -> str:
    """Return a hash of all of *file*, and leave it at its start."""
    file.seek(0)
    found = hashlib.sha256()
    while chunk := file.read(CHUNK):
        found.update(chunk)
    file.seek(0)
    return found.hexdigest()


def rows(file: IO[bytes], path: str, spec: FileStream) -> Iterator[tuple[str, Row | BadRecord]]:
    """
    Yield `path:line` and the row there: text cells of CSV and TSV, plain JSON values of JSON Lines; "" is None.

    Raises:
        ProtocolError: no header, a header that names a column twice, an endless line, damaged gzip.
    """
    file.seek(0)
    with _unpacked(file, path) as plain:
        found = _json_rows(plain, path, spec) if spec.read_as == "jsonl" else _csv_rows(plain, path, spec)
        try:
            yield from found
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ProtocolError(f"{path}: is damaged gzip, or only the beginning of it") from error


@contextmanager
def _unpacked(file: IO[bytes], path: str) -> Iterator[IO[bytes]]:
    if not path.lower().endswith(".gz"):
        yield file
        return
    with gzip.GzipFile(fileobj=file, mode="rb") as plain:
        yield plain  # type: ignore[misc]  # a GzipFile reads like any binary file


def _csv_rows(file: IO[bytes], path: str, spec: FileStream) -> Iterator[tuple[str, Row | BadRecord]]:
    # what is not in the encoding comes as lone surrogates, so that it costs its row and not the file
    text = io.TextIOWrapper(file, encoding=spec.encoding, errors="surrogateescape", newline="")
    try:
        delimiter = spec.delimiter or ("\t" if spec.read_as == "tsv" else ",")
        reader = csv.reader(_bounded(text, path), delimiter=delimiter)
        header = _header(reader, path)
        wide = len(header)
        while True:
            where = f"{path}:{reader.line_num + 1}"
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield where, BadRecord(where, f"cannot be read as {spec.read_as}: {error}")
                continue
            if not cells:
                continue
            if len(cells) != wide:
                yield where, BadRecord(where, f"has {len(cells)} cells where the header has {wide}")
            elif not _readable(cells):
                yield where, BadRecord(where, f"is not {spec.encoding}")
            else:
                yield where, {name: cell.strip() or None for name, cell in zip(header, cells, strict=True) if name}
    finally:
        text.detach()  # the file stays open for the next reading


def _bounded(text: IO[str], path: str) -> Iterator[str]:
    while line := text.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith("\n"):
            raise ProtocolError(f"{path}: has a line of more than {MAX_LINE} characters")
        yield line


def _header(reader: Iterator[list[str]], path: str) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise ProtocolError(f"{path}: the header cannot be read: {error}") from None
    if not any(header):
        raise ProtocolError(f"{path}: is empty; a file without rows still has a header")
    if not _readable(header):
        raise ProtocolError(f"{path}: the header is in another encoding; say encoding = 'cp1252' or whichever it is")
    for index, name in enumerate(header):
        if name and name in header[:index]:
            raise ProtocolError(f"{path}: two columns are called {name!r}")
    return header


def _readable(cells: list[str]) -> bool:
    text = "".join(cells)
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_rows(file: IO[bytes], path: str, spec: FileStream) -> Iterator[tuple[str, Row | BadRecord]]:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        where = f"{path}:{number}"
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            raise ProtocolError(f"{path}: has a line of more than {MAX_LINE} bytes; it is to be one JSON object a line")
        if line.isspace():
            continue
        try:
            value = json.loads(line.decode(spec.encoding if number == 1 else "utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError):  # a wrong byte is a ValueError too
            yield where, BadRecord(where, "is no JSON")
            continue
        if isinstance(value, dict):
            yield where, {str(name): _tidy(item) for name, item in value.items()}
        else:
            yield where, BadRecord(where, "is no JSON object")


def _refuse(name: str) -> None:
    raise ValueError(name)


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, dict):
        return {str(name): _tidy(item) for name, item in value.items()}
    return value
