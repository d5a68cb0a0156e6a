"""Who is in a set, one by one: printed as they are read, so that a million of them take no memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from core.cli.app import FAILED, App

if TYPE_CHECKING:
    from pyroaring import BitMap

    from core.segments.definitions import SetDefinition
    from core.segments.evaluate import Evaluation
    from core.store import Store

CHUNK = 5_000


def show_members(app: App, store: Store, of: SetDefinition, evaluation: Evaluation) -> int:
    """Print the members as they are read, so that a million of them take no memory."""
    from core.cli.group_sizes import tell_doubts
    from core.cli.output import as_json, cell

    name, key = of.name, "company_id" if of.of == "company" else "profile_id"
    if name in evaluation.failed:
        if app.as_json:
            return app.answer({"as_of": evaluation.as_of, "members": [], "failed": evaluation.failed}, FAILED)
        tell_doubts(evaluation)
        return FAILED
    members = evaluation.sets[name]
    if not app.as_json:
        tell_doubts(evaluation)
        if not members:
            app.say(f"nobody is in {name}")
        for profile_id, identifiers in identified(store, members, key):
            click.echo(
                f"{profile_id}\t" + "\t".join(cell(f"{kind}:{v}") for kind, values in identifiers.items() for v in values)
            )
        return 0
    out = sys.stdout
    out.write(as_json({"ok": True, "as_of": evaluation.as_of}).removesuffix("}") + ', "members": [')
    for index, (profile_id, identifiers) in enumerate(identified(store, members, key)):
        out.write(", " * bool(index) + as_json({key: profile_id, "identifiers": identifiers}))
    out.write("]}\n")
    return 0


def identified(store: Store, members: BitMap, key: str = "profile_id") -> Iterator[tuple[int, dict[str, list[str]]]]:
    """Yield each of *members* with its identifiers; *key* says whether they are people or companies."""
    for chunk in _chunks(members):
        found: dict[int, dict[str, list[str]]] = {profile_id: {} for profile_id in chunk}
        marks = ", ".join("?" * len(chunk))
        for profile_id, kind, value in store.conn.execute(
            f"SELECT {key}, kind, value FROM identifiers WHERE {key} IN ({marks}) ORDER BY {key}, kind, value",
            chunk,
        ):
            found[profile_id].setdefault(kind, []).append(value)
        yield from found.items()


def _chunks(members: BitMap) -> Iterator[Sequence[int]]:
    for start in range(0, len(members), CHUNK):
        yield list(members[start : start + CHUNK])
