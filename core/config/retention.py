"""
`[workspace.retention]`: how long each sort of history is kept.

Runs and what they cost go after half a year, since they grow with the clock alone; all else is kept until somebody asks,
for it is what the past is answered from, and cannot be had again.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

from core.config.model import Retention
from core.config.table import Table, problem
from core.durations import parse_duration, spell_duration

LEAST: Final = timedelta(days=35)
"""The guards look back 30 days, and a grace or a look at who flaps some more."""
FOREVER: Final = "forever"
_YEARS: Final = re.compile(r"(\d{1,3})\s*y")


def _keep(value: object) -> timedelta | None:
    if value == FOREVER:
        return None
    if not isinstance(value, str):
        raise problem(f"must be text, not {value!r}", "write it as '180d', '2y' or 'forever'")
    years = _YEARS.fullmatch(value.strip().lower())
    try:
        kept = timedelta(days=365 * int(years[1])) if years else parse_duration(value)
    except ValueError as error:
        raise problem(f"{value!r} is no duration", "write it as '180d', '2y' or 'forever'") from error
    if kept < LEAST:
        remedy = f"keep at least {spell_duration(LEAST)}: the guards look back 30 days"
        raise problem(f"{value!r} is too short", remedy)
    return kept


Keep = Annotated[
    timedelta | None,
    PlainValidator(_keep),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^(forever|\d+\s*[smhdwy])$", "examples": ["180d", "2y", "forever"]},
                {"type": "null"},
            ]
        }
    ),
]


class RetentionTable(Table):
    """How long history is kept; what is older is pruned once a day."""

    runs: Keep = timedelta(days=180)
    """Runs, what they cost in requests, the batches that they sent, and approvals that have ended."""
    memberships: Keep = None
    """Who entered and left each set with each run; forever, if left out."""
    field_history: Keep = None
    """What canonical fields were before, which `--as-of` and `changed(...)` read; forever, if left out."""
    dead_letters: Keep = None
    """What was given up on or dropped; gone from here it is tried anew. Forever, if left out."""


def retention(read: RetentionTable) -> Retention:
    """Return the table as the value that the rest uses."""
    values: dict[str, Any] = {name: getattr(read, name) for name in RetentionTable.model_fields}
    return Retention(**values)
