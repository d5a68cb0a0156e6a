"""
The sandbox of `files` is a folder: loaded rows become CSV files in it, and what is pushed is read back from `out/`.

There is no HTTP, so `app` stays None and nothing can be faulted.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from core.contract import Sandbox

PERSONAL = ("first_name", "last_name", "phone", "country", "language", "job_title", "created_at")
STREAMS: Mapping[str, Mapping[str, Any]] = {
    "people": {
        "path": "data/people.csv",
        "kind": "profile",
        "key": "id",
        "identifiers": {"user_id": "id", "email": "email"},
        "fields": {name: name for name in PERSONAL},
    },
    "companies": {
        "path": "data/companies.csv",
        "kind": "company",
        "key": "id",
        "identifiers": {"company_id": "id", "company_domain": "domain"},
        "fields": {name: name for name in ("name", "domain", "industry", "employees", "country", "created_at")},
    },
}
HEADERS: Mapping[str, tuple[str, ...]] = {
    "people": (
        "id", "email", "first_name", "last_name", "phone", "country", "language", "job_title", "lifecycle_stage", "company_id",
        "created_at", "updated_at",
    ),
    "companies": ("id", "name", "domain", "industry", "employees", "country", "created_at", "updated_at"),
}  # fmt: skip


class FilesSandbox(Sandbox):
    """A folder; a new temporary one if none is given."""

    def __init__(self, folder: Path | None = None, *, now: Callable[[], datetime] | None = None) -> None:
        super().__init__(now=now)
        self._own = None if folder else tempfile.TemporaryDirectory(prefix="files-sandbox-")
        self.folder = folder or Path(self._own.name if self._own else "")
        self.rows: dict[str, dict[str, dict[str, Any]]] = {what: {} for what in STREAMS}
        for what in STREAMS:
            self._write(what)

    def settings(self) -> Mapping[str, object]:
        return {"streams": {what: dict(spec) for what, spec in STREAMS.items()}, "folder": "out"}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        table = self.rows[what]
        for row in rows:
            known = table.setdefault(str(row["id"]), {})
            known |= {"updated_at": self.now(), **row}
        self._write(what)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        for id_ in ids:
            self.rows[what].pop(id_, None)
        self._write(what)

    def audiences(self) -> Mapping[str, frozenset[str]]:
        """Return the profile ids in each file by its name without `.csv`."""
        found = {}
        for path in sorted((self.folder / "out").glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                found[path.stem] = frozenset(row["profile_id"] for row in csv.DictReader(file))
        return found

    def _write(self, what: str) -> None:
        path = self.folder / str(STREAMS[what]["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, HEADERS[what], extrasaction="ignore")
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row.items()} for row in self.rows[what].values())


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, list | dict) else value


SANDBOX = FilesSandbox
