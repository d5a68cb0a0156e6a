"""
The kinds of identifier that streams declare, where the config gives them: a slip of the pen is an error, not a kind of its own.

Any name may be a kind, so a misspelt one would load, be stored, and join nobody. Two things can be told before that: a dotted
kind names a connection, and a name that is nearly the workspace's or a company's is surely meant to be that one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from core.config.locate import Path
from core.config.names import suggest
from core.config.problems import Problems
from core.contract import Stream

KINDS: Final = ("email", "user_id", "company_domain", "company_id", "company_name")
"""Kinds with a meaning that all connections share."""
_NEARLY: Final = 0.8
"""How alike two kinds are before one is taken for the other: `emial` and email are, `customer_id` and user_id are not."""


def check_identifiers(
    streams: Iterable[Stream], table: Mapping[str, Any], at: Path, connections: Collection[str], problems: Problems
) -> None:
    """Add what is wrong with the kinds of *streams*, which the connection's *table* at *at* may have named."""
    for stream in streams:
        for kind in stream.identifiers:
            path = (*at, *_written(table, ("streams", stream.name, "identifiers", kind)))
            prefix, dot, _ = kind.partition(".")
            if dot and prefix not in connections:
                message = f"{kind!r} is no kind of identifier: there is no connection {prefix!r}"
                problems.say(path, message, suggest(prefix, connections))
            elif not dot and kind not in KINDS and (near := get_close_matches(kind, KINDS, 1, _NEARLY)):
                remedy = f"did you mean {near[0]}? A kind of this connection's own can be written {at[-1]}.{kind}"
                problems.say(path, f"{kind!r} is nearly a kind of identifier that all connections share", remedy)


def _written(table: Mapping[str, Any], path: tuple[str, ...]) -> tuple[str, ...]:
    """Return *path* where the table has it; nothing where the connector declares the stream by itself."""
    inside: Any = table
    for step in path:
        if not isinstance(inside, Mapping) or step not in inside:
            return ()
        inside = inside[step]
    return path
