"""
The audience `file`: one CSV, written whole and atomically, with a header and a row for each member.

People are known by their profile id; a spreadsheet that opens the file finds no formula in it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from glob import escape
from pathlib import PurePosixPath
from typing import Final

from pydantic import field_validator

from connectors.files.config import CANONICAL
from core.contract import UNSUPPORTED, Api, Audience, AudienceSet, Change, Kind, Params, Ref, Unsupported
from core.errors import ProtocolError, RejectedError

AUDIENCES = AudienceSet()

KEY: Final = "profile_id"
COLUMNS: Final = (KEY, "user_id", *CANONICAL[Kind.PROFILE])
PAGE_SIZE: Final = 1000
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the start of a formula, or strips to find one behind it."""
_NAME: Final = re.compile(r"[^\W_][^/\\:*?\"<>|\[\]\x00-\x1f\x7f]{0,99}")
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


class FileParams(Params):
    """What a sync to a file may say."""

    columns: tuple[str, ...] = (KEY, "email", "user_id")
    """Of the file: profile_id, user_id and canonical fields of a profile."""

    @field_validator("columns")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in COLUMNS:
                raise ValueError(f"{name!r} is no column; there are {', '.join(COLUMNS)}")
        if not value or len(set(value)) != len(value):
            raise ValueError("name at least one column, and none twice")
        return value


@AUDIENCES.add("file")
class CsvFile(Audience):
    """`folder/NAME.csv` under the config file's folder."""

    Params = FileParams
    key_kind = KEY
    whole = True
    repeat = "safe"  # the same members make the same file
    max_batch = 1_000_000
    params: FileParams

    def wanted_fields(self) -> Sequence[str]:
        return self.params.columns

    def check_name(self, name: str) -> str | None:
        stem = name.removesuffix(".csv")
        if not _NAME.fullmatch(stem) or stem != stem.rstrip(" .") or _RESERVED.fullmatch(stem):
            return "a file's name begins with a letter or digit, has at most 100 characters and none of / \\ : * ? \" < > | [ ]"
        return None

    def lookup(self, api: Api, name: str) -> str | None:
        """Return the file's path if it is there, whoever wrote it: the core refuses one that we did not."""
        path = _path(api, name)
        return path if path in api.glob(escape(path)) else None

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Write a file with only a header."""
        path = _path(api, name)
        self.replace(api, path, iter(()))
        return path

    def replace(self, api: Api, audience_id: str, members: Iterator[Change]) -> None:
        with api.replace(audience_id) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            try:
                writer = csv.writer(text, lineterminator="\n")
                writer.writerow(self.params.columns)
                for change in members:
                    values = {KEY: change.ref.remote_id, **change.values}
                    writer.writerow([cell(values.get(name)) for name in self.params.columns])
                text.flush()
            finally:
                text.detach()  # the core closes it

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]] | Unsupported:
        """Read the file back; a file without profile ids cannot say who is in it."""
        return _members(api, audience_id) if KEY in self.params.columns else UNSUPPORTED

    def cost(self, adds: int, removes: int) -> int:
        return 0  # no request: a file


def _members(api: Api, path: str) -> Iterator[Sequence[Ref]]:
    with api.read(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            reader = csv.DictReader(text)
            if KEY not in (reader.fieldnames or ()):
                raise ProtocolError(f"{path}: has no column {KEY!r}; somebody else wrote it")
            page: list[Ref] = []
            for row in reader:
                page.append(Ref(str(row[KEY])))
                if len(page) == PAGE_SIZE:
                    yield page
                    page = []
            if page:
                yield page
        except (UnicodeDecodeError, csv.Error) as error:
            raise ProtocolError(f"{path}: is not the file that we wrote") from error
        finally:
            text.detach()


def cell(value: object) -> str:
    """Return a value as the text of a cell; text that a spreadsheet would run is kept from it by an apostrophe."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case str():
            text = value
        case _:
            text = json.dumps(value, ensure_ascii=False, default=str)
    return f"'{text}" if text.startswith(FORMULA) else text


def _path(api: Api, name: str) -> str:
    folder: str | None = api.settings.folder
    if folder is None:
        raise RejectedError("the connection has no folder to write to; add folder = 'out' to it")
    return str(PurePosixPath(folder) / f"{name.removesuffix('.csv')}.csv")
