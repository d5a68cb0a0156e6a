"""
Files: CSV, TSV and JSON Lines as sources of any kind of stream, by config alone, and one CSV an audience as a destination.

`config.py` is what a stream's table may say, `reading.py` files as rows, `columns.py` the types of columns, `stream.py` rows as
records, `audience.py` what is written. There is no vendor: no socket, no credentials, no rate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from connectors.files.audience import AUDIENCES
from connectors.files.config import FileStream
from connectors.files.stream import files, head, make_stream
from core.contract import Api, Category, CheckStep, Manifest, Result, Stream
from core.contract import Settings as BaseSettings
from core.errors import HubError

__all__ = ["AUDIENCES", "MANIFEST", "FileStream", "Settings", "account", "auth", "check", "streams"]

MANIFEST = Manifest(
    name="files",
    title="Files",
    category=Category.FILE,
    base_url="",  # no HTTP
    hosts=(),
    docs_url="https://www.rfc-editor.org/rfc/rfc4180",
    api_version="csv, tsv, jsonl",
    checked_on=date(2026, 8, 13),
)

_STREAM = re.compile(r"[a-z](?:_?[a-z0-9])*_?")


class Settings(BaseSettings):
    """Streams to read, a folder to write to, or both. All paths are under the config file's folder."""

    unused: ClassVar[Mapping[str, str]] = {
        "base_url": "there is no server", "start": "files are read whole; leave out the old ones",
    }  # fmt: skip

    streams: dict[str, FileStream] = Field(default_factory=dict)
    """What is read: a table for each stream, which says where its files are and what its columns mean."""
    folder: str | None = None
    """Where audiences are written, one CSV file each."""

    @field_validator("streams")
    @classmethod
    def _are_names(cls, value: dict[str, FileStream]) -> dict[str, FileStream]:
        for name in value:
            if not _STREAM.fullmatch(name):
                raise ValueError(f"{name!r} is no stream name; write lower-case letters, digits and single underscores")
        return value

    @field_validator("folder")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        path = PurePosixPath(value or ".")
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must lie under the config file's folder: no leading slash and no '..'")
        return value

    @model_validator(mode="after")
    def _is_for_something(self) -> Settings:
        if not self.streams and self.folder is None:
            raise ValueError("a files connection has streams to read, a folder to write to, or both")
        return self


def auth(settings: Settings) -> None:
    """No credentials."""


def account(api: Api) -> str:
    """There is one file system, and the paths themselves say which file: the config may move with its files."""
    return "files"


def streams(settings: Settings) -> Iterable[Stream]:
    """Return the streams that the config lists."""
    return [make_stream(name, spec) for name, spec in settings.streams.items()]


def check(api: Api) -> Iterator[CheckStep]:
    """Find every stream's files and read their heads."""
    settings: Settings = api.settings
    for name, spec in settings.streams.items():
        try:
            found = files(spec, api)
            for path in found:
                head(spec, api, path)
        except HubError as error:
            remedy = "Correct the path or the columns; both are under this stream's table in the config."
            yield CheckStep(f"read {name}", Result.FAILED, detail=str(error), remedy=remedy)
        else:
            yield CheckStep(f"read {name}", Result.PASSED, detail=_files(len(found)))
    yield CheckStep("authenticate", Result.SKIPPED, detail="files have no credentials")
    if settings.folder is not None:
        try:
            there = api.glob(str(PurePosixPath(settings.folder) / "*.csv"))
        except HubError as error:
            yield CheckStep("folder", Result.FAILED, detail=str(error), remedy="Name a folder below the config file's.")
        else:
            yield CheckStep("folder", Result.PASSED, detail=f"{settings.folder}, {_files(len(there))} in it")


def _files(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"
