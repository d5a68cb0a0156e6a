"""`tagalong segments PARTITION --moves`: how many went from each group to each other since a time, and who."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import App
from core.cli.group_names import groups_of

if TYPE_CHECKING:
    from core.config.model import Config
    from core.segments.moves import Moves
    from core.store import Store

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def show_moves(
    app: App, store: Store, config: Config, partition: str, *, since: datetime | None, until: datetime, members: bool
) -> int:
    """Print who moved between the groups of *partition*, as recorded."""
    from core.segments.moves import moves

    found = moves(store.conn, partition, groups_of(partition, config), since=since or LONG_AGO, until=until)
    if app.as_json:
        return app.answer(_described(store, partition, found, members=members))
    if found is None:
        app.say(f"no run has recorded {partition} yet; `tagalong sync` and `tagalong run` do")
        return 0
    if since is not None and found.since > since:
        app.say(f"{partition} is recorded since {found.since:%Y-%m-%d %H:%M}Z only")
    _show(store, found, members=members)
    return 0


def _described(store: Store, partition: str, found: Moves | None, *, members: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "partition": partition,
        "since": found.since if found else None,
        "until": found.until if found else None,
        "moves": [{"from": old, "to": new, "size": len(people)} for (old, new), people in found.people.items()]
        if found
        else [],
    }
    if members:
        told["members"] = list(_members(store, found)) if found else []
    return told


def _members(store: Store, found: Moves) -> Iterator[dict[str, Any]]:
    from core.cli.members import identified

    for (old, new), people in found.people.items():
        for profile_id, identifiers in identified(store, people):
            yield {"profile_id": profile_id, "from": old, "to": new, "identifiers": identifiers}


def _show(store: Store, found: Moves, *, members: bool) -> None:
    from core.cli.output import cell, table

    if members:
        for one in _members(store, found):
            pairs = [cell(f"{kind}:{value}") for kind, values in one["identifiers"].items() for value in values]
            click.echo("\t".join([str(one["profile_id"]), one["from"] or "-", one["to"] or "-", *pairs]))
        return
    rows = sorted(found.people.items(), key=lambda pair: -len(pair[1]))
    table(("from", "to", "people"), [[old or "(no group)", new or "(no group)", len(people)] for (old, new), people in rows])
    if not rows:
        click.echo("nobody moved")
