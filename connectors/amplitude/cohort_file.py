"""
Who is in a cohort, from the file of a download job. Its layout is not documented (Quirk 20): JSON objects or CSV with a header.

Read piece by piece: a cohort may have two million members.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import IO, Any, Final

from core.errors import ProtocolError

PIECE: Final = 64 * 1024
MAX_OBJECT: Final = 16 * 1024 * 1024
USER_ID: Final = "user_id"


def user_ids(file: IO[bytes]) -> Iterator[str]:
    """Yield the user id of each member; who has none was never identified, and is nobody's member to us."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        begins = text.read(1)
        while begins and begins.isspace():
            begins = text.read(1)
        text.seek(0)
        for record in _objects(text) if begins in ("{", "[") else _rows(text):
            if USER_ID not in record:
                raise ProtocolError("a member in the cohort's file has no field user_id")
            if record[USER_ID] not in (None, ""):
                yield str(record[USER_ID])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProtocolError(f"the cohort's file cannot be read ({type(error).__name__})") from None
    finally:
        text.detach()  # the file is closed by who opened it


def _rows(text: IO[str]) -> Iterator[dict[str, Any]]:
    for row in csv.DictReader(text):
        yield {str(name).strip().lower(): value for name, value in row.items()}


def _objects(text: IO[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of an array, or one after another."""
    decoder = json.JSONDecoder()
    rest, opened = "", 0
    while True:
        piece = text.read(PIECE)
        rest += piece
        at = 0
        while True:
            while at < len(rest) and rest[at] in "[], \t\r\n":
                opened += (rest[at] == "[") - (rest[at] == "]")
                at += 1
            try:
                found, at = decoder.raw_decode(rest, at) if at < len(rest) else (None, at)
            except ValueError:
                break  # only its beginning has come
            if found is None:
                break
            if not isinstance(found, dict):
                raise ProtocolError("the cohort's file holds something else than members")
            yield found
        rest = rest[at:]
        if not piece:
            break
        if len(rest) > MAX_OBJECT:
            raise ProtocolError("the cohort's file holds a member without end")
    if rest or opened:
        raise ProtocolError("the cohort's file is not JSON, or only the beginning of it")
