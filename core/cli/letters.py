"""Dead letters: what was refused or could not be read, why, and what is to become of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import App, known_names, verb

if TYPE_CHECKING:
    from core.config.model import Config
    from core.store import Store
    from core.store.dead_letters import DeadLetter
    from core.store.letters import Chosen

TIMES = ("first_at", "last_at", "next_try_at", "given_up_at", "dropped_at")
RETRY, DROP = "retry", "drop"
MAX_SHOWN = 90
"""Characters of the vendor's words in the table; --json has all that is kept of them."""


@verb("dead-letters", "tagalong dead-letters retry --sync regulars")
@click.argument("what", nargs=-1, metavar="[retry|drop] [NAME|ID]...")
@click.option("--sync", metavar="NAME", help="With retry or drop: those of this sync.")
@click.option("--connection", metavar="NAME", help="With retry or drop: those of this connection.")
@click.option("--all", "everything", is_flag=True, help="With retry or drop: all there are.")
@click.option("--dropped", is_flag=True, help="List those that were dropped.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def dead_letters_command(
    app: App, what: tuple[str, ...], sync: str | None, connection: str | None, everything: bool, dropped: bool, yes: bool
) -> int:
    """
    List what was given up on for now, and why.

    `retry` makes it due now, also what was given up for good: the next run tries with that day's wish. `drop` forgets it: it is
    not tried again until something about the person changes, or they leave the segment and come back; `retry ID` undoes that.
    """
    config = app.config()
    action = what[0] if what and what[0] in (RETRY, DROP) else None
    if action is None:
        if sync or connection or everything or yes:
            raise click.UsageError("--sync, --connection, --all and --yes go with retry or drop")
        return _list(app, config, what, dropped)
    if dropped:
        raise click.UsageError("--dropped lists; name what to try again by its id")
    chosen = _chosen(config, what[1:], sync, connection, everything)
    if everything and not yes:
        question = "Try all dead letters again?" if action == RETRY else "Drop all dead letters?"
        click.confirm(question, abort=True, err=True)
    return _retry(app, config, chosen) if action == RETRY else _drop(app, config, chosen)


def _chosen(config: Config, ids: Sequence[str], sync: str | None, connection: str | None, everything: bool) -> Chosen:
    from core.store.letters import Chosen

    known_names((sync,) if sync else (), config.syncs, "sync")
    known_names((connection,) if connection else (), config.connections, "connection")
    wrong = [one for one in ids if not one.isascii() or not one.isdecimal()]
    if wrong:
        raise click.UsageError(f"{wrong[0]!r} is no id of a dead letter; `tagalong dead-letters` lists them")
    if sum(map(bool, (ids, sync, connection, everything))) != 1:
        raise click.UsageError("say which: ids, --sync NAME, --connection NAME, or --all")
    return Chosen(tuple(map(int, ids)), sync, connection, everything)


def _check_ids(store: Store, chosen: Chosen, *, dropped: bool) -> None:
    there = {one.id for one in chosen.of(store.conn, dropped=dropped)}
    for id_ in chosen.ids:
        if id_ not in there:
            raise click.UsageError(f"there is no dead letter {id_}; `tagalong dead-letters` lists them")


def _retry(app: App, config: Config, chosen: Chosen) -> int:
    from core.clock import to_us
    from core.store import Store, leases
    from core.store.letters import retry

    database = config.workspace.database
    with Store(database) as store, ExitStack() as stack:
        _check_ids(store, chosen, dropped=True)
        pulled = {one.connection for one in chosen.of(store.conn, dropped=True) if one.what == "record"}
        for connection in sorted(pulled):  # a pull under way would overwrite that it is to start over
            stack.enter_context(leases.hold(database, f"connection.{connection}", app.clock))
        with store.atomic() as conn:
            done = retry(conn, chosen, at=to_us(app.clock()))
    streams = sorted({f"{one.connection}.{one.stream}" for one in done.records})
    if app.as_json:
        return app.answer({
            "retried": [one.id for one in (*done.members, *done.records)], "left_out": [one.id for one in done.left_out],
            "read_again": streams,
        })  # fmt: skip
    for line in _said(done.members, streams, done.left_out):
        click.echo(line)
    return 0


def _said(members: Sequence[DeadLetter], streams: Sequence[str], left_out: Sequence[DeadLetter]) -> list[str]:
    from core.cli.output import clean, counted

    syncs = ", ".join(sorted({str(one.sync) for one in members}))
    lines = [clean(f"{counted(len(members), 'member')} will be tried with the next run of {syncs}.")] if members else []
    lines += [f"{name} will be read again from its beginning with the next pull." for name in streams]
    if left_out:
        ids = " ".join(str(one.id) for one in left_out)
        lines.append(
            f"{counted(len(left_out), 'member')} left out, for nobody knows whether they arrived: to try them all the same,"
            f" name them: tagalong dead-letters retry {ids}"
        )
    return lines or ["There is nothing to try again."]


def _drop(app: App, config: Config, chosen: Chosen) -> int:
    from core.cli.output import counted
    from core.clock import to_us
    from core.store import Store
    from core.store.letters import drop

    with Store(config.workspace.database) as store:
        _check_ids(store, chosen, dropped=False)
        with store.atomic() as conn:
            gone = drop(conn, chosen, at=to_us(app.clock()))
    ids = [one.id for one in gone]
    if app.as_json:
        return app.answer({"dropped": ids})
    if not ids:
        click.echo("There is nothing to drop.")
        return 0
    click.echo(
        f"Dropped {counted(len(ids), 'dead letter')}: a member is not tried again until something about the person changes, or"
        " they leave the segment and come back, a record not shown until it fails for another reason. To take it back:"
        f" tagalong dead-letters retry {' '.join(map(str, ids[:20]))}"
    )
    return 0


def _list(app: App, config: Config, names: tuple[str, ...], dropped: bool) -> int:
    from core.cli.output import table
    from core.store import Store
    from core.store.dead_letters import dead_letters

    known_names(names, {**config.connections, **config.syncs}, "connection or sync")
    with Store(config.workspace.database) as store:
        letters = [_letter(one) for one in dead_letters(store.conn, names=names, dropped=dropped)]
    if app.as_json:
        return app.answer({"dead_letters": letters})
    if not letters:
        nothing = "Nothing was dropped." if dropped else "Nothing: every record was read and every member's answer stands."
        click.echo(nothing)
        return 0
    columns = ("id", "what", "from", "key", "op", "reason", "tries", "last", "next try", "message")
    table(columns, [_row(one) for one in letters])
    return 0


def _row(one: dict[str, Any]) -> list[object]:
    said = one["message"] or ""
    return [
        str(one["id"]),
        one["what"],
        one["sync"] or f"{one['connection']}.{one['stream']}",
        one["key"],
        one["op"],
        one["reason"],
        one["attempts"],
        one["last_at"],
        "dropped" if one["dropped_at"] else "given up" if one["given_up_at"] else one["next_try_at"],
        said if len(said) <= MAX_SHOWN else f"{said[: MAX_SHOWN - 1]}…",
    ]


def _letter(letter: DeadLetter) -> dict[str, Any]:
    from core.cli.output import plain
    from core.clock import from_us

    read: dict[str, Any] = plain(letter)
    stamps: dict[str, datetime | None] = {name: None if read[name] is None else from_us(read[name]) for name in TIMES}
    return {**read, **stamps, "code": letter.code}
