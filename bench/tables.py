"""The config that benches push by: people in a file, and one destination `there`; segments and syncs are each bench's own."""

from __future__ import annotations

import json
from collections.abc import Mapping

CONFIG = """\
[connections.file]
connector = "files"

[connections.file.streams.people]
path = "people.csv"
kind = "profile"
key = "id"
identifiers = {{ user_id = "id", email = "email" }}
types = {{ {column} = "text" }}

[connections.there]
connector = "{name}"
{settings}
"""


def pushing(name: str, settings: Mapping[str, object], *, column: str) -> str:
    """Return the tables of a file of people, with a text *column*, and of a destination of the connector *name*."""
    return CONFIG.format(name=name, settings=lines(settings), column=column)


def lines(table: Mapping[str, object]) -> str:
    """Return the keys of a TOML table."""
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
