"""Letting go of a sync that is no longer in the config: what it left behind, taking it out, or leaving it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, NEWS, App, verb

if TYPE_CHECKING:
    from core.live.retire import Removal


@verb("retire", "tagalong retire regulars --remove")
@click.argument("sync", required=False)
@click.option("--remove", is_flag=True, help="Take our members out of its audiences.")
@click.option("--forget", is_flag=True, help="Leave its members there, as if others had put them in.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def retire_command(app: App, sync: str | None, remove: bool, forget: bool, yes: bool) -> int:
    """
    List audiences that no sync fills, or let go of one.

    SYNC is a sync that was taken out of the config, one of its groups (SYNC.GROUP), or what the list shows. Without --remove or
    --forget it shows what --remove would do.
    """
    if sync is None:
        if remove or forget or yes:
            raise click.UsageError("name the sync to let go of; `tagalong retire` lists what there is")
        return _list(app)
    if remove and forget:
        raise click.UsageError("--remove takes members out and --forget leaves them there; say one of them")
    if yes and not (remove or forget):
        raise click.UsageError("--yes goes with --remove or --forget; without them nothing is done")
    return _let_go(app, sync, remove=remove, forget=forget, yes=yes)


def _list(app: App) -> int:
    from core.cli.output import table
    from core.cli.standing import retired
    from core.store import Store

    config = app.config()
    with Store(config.workspace.database) as store:
        found = retired(store.conn, config)
    if app.as_json:
        return app.answer({"retired": found})
    if not found:
        click.echo("Nothing is retired: every audience with members of ours is filled by a sync.")
        return 0
    waiting = ("on_their_way",) if any(one["on_their_way"] for one in found) else ()
    columns = ("sync", "connection", "kind", "name", "ours", *waiting)
    table([column.replace("_", " ") for column in columns], [[one[column] for column in columns] for one in found])
    return 0


def _let_go(app: App, name: str, *, remove: bool, forget: bool, yes: bool) -> int:
    from core.cli.deliver import stopping
    from core.cli.output import progress
    from core.live import orphans, retire

    with app.hub() as hub, stopping(hub.stop), hub.store() as store:
        hub.register(store)
        rows = orphans.chosen(store.conn, hub.config, name)
        if forget:
            if not yes:
                click.confirm(f"Leave the members of {name} where they are, for good?", abort=True, err=True)
            found = retire.forget(hub, store, rows)
        else:
            found = [retire.Removal(row, plan=retire.planned(hub, store, row)) for row in rows]
            if remove:
                _ask(found, yes)
                sent: dict[str, int] = {}
                with progress("Removing") as shown:

                    def on_batch(label: str, members: int) -> None:
                        sent[label] = sent.get(label, 0) + members
                        shown.say(f"{label}: {sent[label]:,} members")

                    found = retire.remove(hub, store, rows, on_batch=on_batch)
        code = _code(found) if remove else 0
    told = [_describe(one) for one in found]
    if app.as_json:
        return app.answer({"removed": remove, "forgotten": forget, "retired": told}, code)
    _show(told, name, remove=remove, forget=forget)
    return code


def _ask(found: Sequence[Removal], yes: bool) -> None:
    """Show what would be removed, and ask; a person's yes stands for the size guards."""
    from core.cli.output import clean, counted

    for one in found:
        assert one.plan is not None
        where = f"{one.row.kind} {one.row.name!r} at {one.row.connection}"
        notes = "".join(f"; {note}" for note in one.plan.notes)
        click.echo(clean(f"{one.label}: {counted(one.plan.size, 'member')} to be taken out of the {where}{notes}"), err=True)
    if not yes:
        click.confirm("Take them out?", abort=True, err=True)


def _code(found: Sequence[Removal]) -> int:
    from core.errors import LeaseLost, QuotaExhausted

    if any(not isinstance(one.error, LeaseLost | QuotaExhausted | None) for one in found):
        return FAILED
    return NEWS if any(one.left or one.error for one in found) else 0


def _describe(one: Removal) -> dict[str, Any]:
    from core.errors import told

    plan, report = one.plan, one.report
    verdicts = {} if report is None else {f"{op}.{verdict}": n for (op, verdict), n in sorted(report.verdicts.items())}
    return {
        "label": one.label,
        "connection": one.row.connection,
        "kind": one.row.kind,
        "name": one.row.name,
        "removes": 0 if plan is None else plan.size,
        "theirs": 0 if plan is None else len(plan.draft.standing.theirs),
        "requests": 0 if plan is None else plan.requests,
        "seconds": 0.0 if plan is None else round(plan.seconds, 1),
        "notes": [] if plan is None else list(plan.notes),
        "verdicts": verdicts,
        "left": one.left,
        "forgotten": one.forgotten,
        "error": None if one.error is None else told(one.error),
    }


def _show(told: Sequence[dict[str, Any]], name: str, *, remove: bool, forget: bool) -> None:
    from core.cli.output import clean, counted, table
    from core.cli.tables import CONFIRMED, VERDICTS

    if forget:
        total = sum(one["forgotten"] for one in told)
        click.echo(clean(f"{name}: {counted(total, 'member')} stay where they are, and are nobody's of ours."))
        return
    if not remove:
        columns = ("label", "connection", "kind", "name", "removes", "theirs", "requests")
        table(columns, [[one[column] for column in columns] for one in told])
        for one in told:
            for note in one["notes"]:
                click.echo(clean(f"{one['label']}: {note}"))
        click.echo(clean(f"`tagalong retire {name} --remove` takes them out; `--forget` leaves them there."))
        return
    rows = []
    for one in told:
        removed = sum(one["verdicts"].get(f"remove.{verdict}", 0) for verdict in CONFIRMED)
        others = [f"{n:,} {VERDICTS[verdict]}" for verdict, n in one["verdicts"].items() if verdict in VERDICTS]
        rows.append([one["label"], one["name"], removed, one["left"], ", ".join(others), one["error"]])
    table(("sync", "audience", "removed", "still ours", "others", "error"), rows)
    if any(one["left"] for one in told):
        click.echo(clean(f"`tagalong retire {name} --remove` tries again; `tagalong dead-letters` says who was refused."))
