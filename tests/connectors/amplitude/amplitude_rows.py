"""Recorded answers, neutral rows and archives for the tests of the Amplitude connector."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.contract import Change, Ref

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = {
    "api_key": "0123456789abcdef0123456789abcdef", "secret_key": "fedcba9876543210fedcba9876543210", "app_id": 153957,
    "start": "2026-02-27",
}  # fmt: skip
PAYLOADS = Path(__file__).parent / "payloads"


def payload(name: str) -> Any:
    """Return a recorded answer."""
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))["response"]


def event(id_: str, uploaded_at: datetime, **values: Any) -> dict[str, Any]:
    """Return the neutral row of an event."""
    row = {"id": id_, "user_id": "user-1", "name": "Page Viewed", "at": uploaded_at, "uploaded_at": uploaded_at}
    return {**row, "properties": {"path": "/pricing"}, **values}


def make_world(sandbox: Any, events: int = 30) -> None:
    """Ten users, and an event every hour back from noon."""
    sandbox.load("users", [{"id": f"user-{n}", "email": f"p{n}@example.com", "country": "NO"} for n in range(10)])
    sandbox.load("events", [event(f"e{n}", NOON - n * HOUR, user_id=f"user-{n % 10}") for n in range(events)])


def archive(lines: Iterable[Mapping[str, Any] | bytes], name: str = "153957/153957_2026-03-02_10#0.json.gz") -> io.BytesIO:
    """Return an archive of one file."""
    packed = gzip.compress(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
    return zipped({name: packed})


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """Return a zip of *members*."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    file.seek(0)
    return file


def pulled(stream: Any, api: Any, cursor: datetime | None = None) -> tuple[list[Any], datetime | None]:
    """Return the records of a pull, and the cursor that it ends with."""
    records, last = [], cursor
    for page in stream.pull(api, cursor, None):
        records += page.records
        last = page.cursor or last
    return records, last


def ids_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the neutral ids of events, sorted."""
    return sorted(record["$insert_id"] for record in records)


def spoil(api: Any, number: int, spoiler: Any) -> None:
    """Spoil the request that is *number* requests ahead, and no other."""
    at = api.served.count + number
    api.served.faults = lambda _method, _path, n: spoiler if n == at else None


def refs(*numbers: int) -> list[Ref]:
    """Return users of `make_world` as members."""
    return [Ref(f"user-{n}") for n in numbers]


def adds(*numbers: int) -> list[Change]:
    """Return users of `make_world` as additions."""
    return [Change(ref) for ref in refs(*numbers)]


def make_cohort(make_project: Any, cohort: Any, **switches: Any) -> tuple[Any, str]:
    """Return an api against a project with a cohort of one, and the cohort's id."""
    api = make_project(**switches)
    make_world(api.sandbox)
    return api, cohort.create(api, "At risk", refs(1))
