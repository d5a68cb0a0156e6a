"""
Files of `in_list(...)`: a table with a header, of addresses, user ids or profile ids; read whole and checked line by line.

They are read anew each time that definitions are made, so that a changed file is a changed definition. What a message says of
a file is a line's number, never who stands in it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from core import normalise

MAX_BYTES: Final = 64 * 2**20
_ENDS: Final = (",", ";", "\t", "|")

Keys = tuple[tuple[str, tuple[str, ...]], ...]
"""Kind of identifier to its values."""


def _id(value: object) -> str | None:
    text = str(value).strip()
    return str(int(text)) if text.isascii() and text.isdigit() and 0 < int(text[:11]) < 2**32 else None


PEOPLE: Final[Mapping[str, Callable[[object], str | None]]] = {
    "email": normalise.email,
    "user_id": normalise.user_id,
    "profile_id": _id,
}
COMPANIES: Final[Mapping[str, Callable[[object], str | None]]] = {"company_domain": normalise.domain, "company_id": _id}
_SPELLINGS: Final = {
    "e-mail": "email",
    "e_mail": "email",
    "mail": "email",
    "address": "email",
    "email_address": "email",
    "userid": "user_id",
    "profile": "profile_id",
    "profileid": "profile_id",
    "domain": "company_domain",
}


class ListError(Exception):
    """Why a file is no list of people."""


def read_list(folder: Path, name: str, kinds: Mapping[str, Callable[[object], str | None]]) -> tuple[str, Keys]:
    """Return (digest of the content, what it names); ListError for a file that is not there, not a list, or outside."""
    root = folder.resolve()
    try:
        found = (root / name).resolve()
        if not found.is_relative_to(root):
            raise ListError("lies outside the config's folder")
        if not found.exists():
            raise ListError("is not there")
        if not found.is_file():
            raise ListError("is not a file")
        if found.stat().st_size > MAX_BYTES:
            raise ListError(f"is larger than {MAX_BYTES // 2**20} MB")
        content = found.read_bytes()
    except OSError as error:
        raise ListError(f"cannot be read: {error.strerror}") from error
    except (ValueError, RuntimeError) as error:
        raise ListError("is no name of a file") from error
    return hashlib.sha256(content).hexdigest()[:16], _parsed(content, tuple(kinds))


@lru_cache(maxsize=4)
def _parsed(content: bytes, kinds: tuple[str, ...]) -> Keys:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListError(f"line {content[: error.start].count(10) + 1}: is not UTF-8") from error
    first = text.partition("\n")[0]
    end = max(_ENDS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=end, strict=True)
    try:
        header = next(rows, None)
        return _columns(header or [], rows, kinds)
    except csv.Error as error:
        raise ListError(f"line {rows.line_num}: {error}") from error


def _columns(header: list[str], rows: Iterator[list[str]], kinds: tuple[str, ...]) -> Keys:
    named = [_kind(name) for name in header]
    columns = {at: kind for at, kind in enumerate(named) if kind in kinds}
    if not columns:
        raise ListError(f"its first line names none of {', '.join(kinds)}")
    readers = {**PEOPLE, **COMPANIES}
    found: dict[str, dict[str, None]] = {kind: {} for kind in columns.values()}
    for line, row in enumerate(rows, 2):
        if len(row) > len(header):
            raise ListError(f"row {line}: has {len(row)} columns where the first line names {len(header)}")
        for at, kind in columns.items():
            cell = row[at].strip() if at < len(row) else ""
            if cell:
                value = readers[kind](cell)
                if value is None:
                    raise ListError(f"row {line}: what stands under {header[at].strip()} is no {kind}")
                found[kind][value] = None
    return tuple((kind, tuple(values)) for kind, values in found.items())


def _kind(name: str) -> str:
    plain = name.strip().casefold().replace(" ", "_")
    return _SPELLINGS.get(plain, plain)
