"""
Which copies of the database have somebody, as far as what is known of them tells: a copy is looked into before they are swept.

One that is not there, or is none of this store's, may have them all the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from core.store.traces import Traces

_THERE: Final = """
    SELECT EXISTS (SELECT 1 FROM json_each(:identifiers) j CROSS JOIN identifiers i ON i.kind = j.value ->> 0
            AND i.value = j.value ->> 1)
        OR EXISTS (SELECT 1 FROM json_each(:records) j JOIN connections c ON c.name = j.value ->> 0
            JOIN streams t ON t.connection_id = c.id AND t.name = j.value ->> 1
            JOIN subjects s ON s.stream_id = t.id AND s.ref = j.value ->> 2)
        OR EXISTS (SELECT 1 FROM json_each(:profiles) j JOIN profiles p ON p.id = j.value)
        OR EXISTS (SELECT 1 FROM json_each(:members) j JOIN ledger l ON l.member_key = j.value OR l.remote_id = j.value)
        OR EXISTS (SELECT 1 FROM json_each(:members) j JOIN intent_members m ON m.member_key = j.value OR m.remote_id = j.value)
        OR EXISTS (SELECT 1 FROM json_each(:members) j JOIN dead_letters d ON d.key = j.value)
        OR EXISTS (SELECT 1 FROM json_each(:identifiers) j JOIN refusals r ON r.kind = j.value ->> 0
            AND r.value = j.value ->> 1)
"""


def looked_into(copies: Sequence[Mapping[str, Any]], traces: Traces) -> list[dict[str, Any]]:
    """Return *copies* (`certificate.backups_of`), each with `holds`: whether the person is in it; None: nobody can tell."""
    return [{**one, "holds": _holds(Path(one["path"]), traces)} for one in copies]


def with_findings(copies: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return *copies* with what was *found* in each before the person was swept."""
    holds = {one["path"]: one.get("holds") for one in found}
    return [{**one, "holds": holds.get(one["path"])} for one in copies]


def _holds(path: Path, traces: Traces) -> bool | None:
    known = {
        "identifiers": [list(pair) for pair in traces.known_by],
        "records": [[connection, stream, key] for connection, stream, _, key in traces.records],
        "profiles": list(traces.profiles),
        "members": [value for _, value in traces.members],
    }
    alone = not path.with_name(f"{path.name}-wal").exists()  # then it is all there, and no file is made beside it
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' * alone}", uri=True)) as conn:
            (there,) = conn.execute(_THERE, {name: json.dumps(values) for name, values in known.items()}).fetchone()
            return bool(there)
    except (sqlite3.Error, OSError):
        return None
