"""Segments and partitions: how big they are, what changed, who is in, what one is made of, who moved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from core.cli.app import FAILED, App, DurationText, Moment, as_of_option, moment, say_if_none, verb
from core.cli.group_names import sets_of

if TYPE_CHECKING:
    from core.store import Store


@verb("segments", "tagalong segments pricing_page_regulars --members")
@click.argument("name", required=False)
@click.option("--members", is_flag=True, help="List who is in it: profile ids and identifiers.")
@click.option("--moves", is_flag=True, help="Show who went from one group of a partition to another.")
@click.option("--since", type=Moment(), help="With --moves: since when; else since the first run that recorded it.")
@click.option("--flapping", is_flag=True, help="List who went in and out over and over.")
@click.option("--times", type=click.IntRange(1), help="With --flapping: how often at least; 3, if left out.")
@click.option("--within", type=DurationText(), help="With --flapping: within how long; 7d, if left out.")
@as_of_option
@click.pass_obj
def segments_command(
    app: App,
    name: str | None,
    members: bool,
    moves: bool,
    since: datetime | None,
    flapping: bool,
    times: int | None,
    within: timedelta | None,
    as_of: datetime | None,
) -> int:
    """
    Show how big segments are, what changed and who is in.

    NAME is a segment, PARTITION or PARTITION.GROUP. With NAME also what each of its conditions does, whom it shares with
    others, and who came and went by day.
    """
    from core.store import Store

    config = app.config()
    at = moment(as_of, config, app.clock)
    chosen = sets_of(name, config) if name else None
    if (times or within) and not flapping:
        raise click.UsageError("--times and --within go with --flapping")
    if flapping and (chosen is None or moves or members or since):
        raise click.UsageError("--flapping takes the name of a segment or partition, and none of the other lists")
    if moves and name not in config.partitions:
        raise click.UsageError("--moves takes the name of a partition")
    if since is not None and not moves:
        raise click.UsageError("--since goes with --moves")
    if members and not moves and (chosen is None or len(chosen) > 1):
        raise click.UsageError("--members takes the name of one segment, or PARTITION.GROUP")
    with Store(config.workspace.database) as store:
        if flapping and chosen:
            from core.cli.flapping import show_flapping

            segment = config.segments.get(name or "")
            of = segment.of if segment else "person"
            return show_flapping(app, store, chosen, until=at, within=within, times=times, of=of)
        if moves and name is not None:
            from core.cli.group_moves import show_moves

            begin = moment(since, config, app.clock, "--since") if since is not None else None
            return show_moves(app, store, config, name, since=begin, until=at, members=members)
        return _show(app, store, chosen, at, members=members, today=as_of is None)


def _show(app: App, store: Store, chosen: Sequence[str] | None, at: datetime, *, members: bool, today: bool) -> int:
    from core.cli.definitions import definitions_of
    from core.cli.group_detail import details, show_detail
    from core.cli.group_sizes import last_change, show_sizes, sizes
    from core.cli.members import show_members
    from core.segments.evaluate import evaluate

    definitions = definitions_of(app.config(), store)
    if members and chosen:
        return show_members(app, store, definitions.sets[chosen[0]], evaluate(store, definitions, as_of=at, names=chosen))
    if chosen:
        evaluation, detail = details(store, definitions, chosen, at, today=today)
    else:
        evaluation, detail = evaluate(store, definitions, as_of=at), []
    changes = {key: last_change(store, key, at) for key in evaluation.sets}
    found = sizes(definitions, evaluation, changes)
    code = FAILED if evaluation.failed else 0
    if app.as_json:
        told = {"detail": detail} if chosen else {}
        return app.answer({**found, **told, "failed": evaluation.failed, "warnings": evaluation.warnings}, code)
    say_if_none(app, "segments", definitions.sets)
    show_sizes(found, changes, evaluation)
    for one in detail:
        show_detail(one)
    return code
