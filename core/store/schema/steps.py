"""How a migration is written: a function of the database, run once, in the order in which the modules here are imported."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from sqlite_utils import Database, Migrations

Step = Callable[[Database], None]

migrations = Migrations("tagalong")
_NAMES: Final[list[str]] = []


def step(make: Step) -> Step:
    """Add *make* as the next migration; its name is what a store remembers of it."""
    _NAMES.append(make.__name__)
    return migrations()(make)


def known_migrations() -> frozenset[str]:
    """Return the names of all migrations that this version has."""
    return frozenset(_NAMES)


def statements(db: Database, script: str) -> None:
    """Execute *script* statement by statement: `executescript` would commit the migration's transaction half-way."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
