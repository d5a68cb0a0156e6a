"""Holding the ledger against the destination: what differs, who, and mending it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from core.cli.app import FAILED, NEWS, App, known_names, say_if_none, verb

if TYPE_CHECKING:
    from core.live.drift import Drift
    from core.store import Store


COLUMNS: Final = {"person": ("profile_id", "email", "user_id"), "company": ("company_id", "name", "domain")}
"""How members are told, by what they are."""


@verb("drift", "tagalong drift regulars --repair")
@click.argument("sync", nargs=-1)
@click.option("--members", is_flag=True, help="List who differs.")
@click.option("--repair", is_flag=True, help="Mend the ledger; the next sync puts in again who is missing and wanted.")
@click.option("--yes", is_flag=True, help="With --repair: believe also a reading in which most members are missing.")
@click.pass_obj
def drift_command(app: App, sync: tuple[str, ...], members: bool, repair: bool, yes: bool) -> int:
    """
    Compare who is in each audience with what we believe.

    Exits with 3 where they differ. Nothing is sent; without --repair nothing is changed either.
    """
    from core.cli.deliver import stopping
    from core.cli.output import counted, progress
    from core.live.repair import drift

    if yes and not repair:
        raise click.UsageError("--yes goes with --repair; without it nothing is changed")
    with app.hub() as hub, stopping(hub.stop), hub.store() as store:
        known_names(sync, hub.config.syncs, "sync")
        with progress("Reading") as shown:
            shown.of(len(sync) or sum(one.enabled for one in hub.config.syncs.values()))
            found = drift(
                hub,
                store,
                names=sync,
                repair=repair,
                sure=lambda one: yes or _sure(one),
                on_page=lambda label, read: shown.say(f"{label}: {counted(read, 'member')}"),
                on_sync=shown.step,
            )
        code = _code(found)
        if app.as_json:
            _print_json(store, found, code, members)
        else:
            say_if_none(app, "syncs", hub.config.syncs)
            _show(found)
            if members:
                _show_members(store, found)
    return code


def _code(found: Sequence[Drift]) -> int:
    from core.errors import LeaseLost, QuotaExhausted

    errors = [one.error for one in found if one.error is not None]
    if not all(isinstance(error, LeaseLost | QuotaExhausted) for error in errors):
        return FAILED
    return NEWS if errors or any(one.drifted and one.repaired is None for one in found) else 0


def _sure(one: Drift) -> bool:
    from core.live.drift import What

    absent = one.count(What.MISSING) + one.count(What.GONE)
    known = absent + one.ours + one.foreign
    return click.confirm(f"{one.label}: {absent:,} of {known:,} members are not there. Believe it, and mend?", err=True)


def describe(one: Drift) -> dict[str, Any]:
    """Return how an audience stands, in JSON's words."""
    from core.errors import told
    from core.live.drift import What

    repaired = one.repaired
    return {
        "sync": one.target.sync.name,
        "label": one.label,
        "to": one.target.connection,
        "audience": {"kind": one.target.sync.audience_kind, "name": one.target.name},
        "as_of": one.as_of,
        "there": one.there,
        "ours": one.ours,
        "foreign": one.foreign,
        "missing": one.count(What.MISSING),
        "missing_wanted": None if one.untold else one.count(What.MISSING, wanted=True),
        "extra": one.count(What.EXTRA),
        "extra_wanted": None if one.untold else one.count(What.EXTRA, wanted=True),
        "untold": one.untold,
        "unknown": one.count(What.UNKNOWN),
        "gone": one.count(What.GONE),
        "settling": one.count(What.SETTLING),
        "drifted": one.drifted,
        "repaired": None if repaired is None else {name: getattr(repaired, name) for name in repaired.__slots__},
        "note": one.note,
        "error": None if one.error is None else told(one.error),
    }


def _print_json(store: Store, found: Sequence[Drift], code: int, members: bool) -> None:
    """Print the one object; members as they are read, so that a million of them take no memory."""
    from core.cli.output import as_json

    out = sys.stdout
    out.write(as_json({"ok": code != FAILED}).removesuffix("}") + ', "audiences": [')
    for number, one in enumerate(found):
        out.write(", " * bool(number) + as_json(describe(one)).removesuffix("}"))
        if members:
            out.write(', "members": [')
            for index, line in enumerate(_members(store, one)):
                out.write(", " * bool(index) + as_json(line))
            out.write("]")
        out.write("}")
    out.write("]}\n")


def _members(store: Store, one: Drift) -> Iterator[dict[str, Any]]:
    from core.store import live

    if one.row is None or one.error is not None or one.note is not None:
        return
    number, first, second = COLUMNS[one.row.of]
    for difference, one_name, other_name in live.differences(store.conn, one.row.id, of=one.row.of):
        yield {
            "what": difference.what,
            number: difference.profile_id,
            first: one_name,
            second: other_name,
            "wanted": difference.wanted,
            "member": difference.remote_id,
        }


def _show(found: Sequence[Drift]) -> None:
    from core.cli.output import clean, table

    told = [describe(one) for one in found]
    counts = ("there", "ours", "foreign", "missing", "extra", "unknown", "gone", "settling")
    always = ("there", "ours", "missing", "extra")
    shown = [name for name in counts if name in always or any(one[name] for one in told)]
    read = [one for one in told if one["note"] is None and one["error"] is None]
    if read:
        rows = [
            [one["label"], f"{one['to']} {one['audience']['kind']} {one['audience']['name']!r}", *(one[n] for n in shown)]
            for one in read
        ]
        table(("sync", "audience", *shown), rows)
    for one in told:
        for line in _lines(one):
            click.echo(clean(f"{one['label']}: {line}"))


def _lines(one: dict[str, Any]) -> Iterator[str]:
    """Yield what there is to say of an audience beside its numbers."""
    from core.cli.output import counted

    if one["error"] is not None:
        yield f"not read to its end, so nothing is known of it: {one['error']}"
    if one["note"] is not None:
        yield one["note"]
    if one["untold"] is not None:
        yield f"who is wanted cannot be told: {one['untold']}"
    else:
        yield from _wanted(one)
    repaired = one["repaired"]
    if repaired is not None:
        yield (
            f"mended: {counted(repaired['to_add'], 'member')} to be put in again by the next sync, {repaired['forgotten']:,}"
            f" forgotten, {repaired['stored']:,} foreign from now on, {repaired['dropped']:,} foreign and gone"
        )
    elif one["drifted"]:
        yield f"`tagalong drift {one['sync']} --repair` mends it; `--members` tells who"


def _wanted(one: dict[str, Any]) -> Iterator[str]:
    if one["missing"]:
        unwanted = one["missing"] - one["missing_wanted"]
        yield f"{one['missing']:,} missing, of whom {one['missing_wanted']:,} are wanted and {unwanted:,} are not"
    if one["extra"]:
        yield f"{one['extra']:,} put there by somebody else, of whom {one['extra_wanted']:,} are wanted"


def _show_members(store: Store, found: Sequence[Drift]) -> None:
    from core.cli.output import cell

    for of, columns in COLUMNS.items():
        heading: tuple[str, ...] = ("sync", "what", *columns, "wanted", "member")
        for one in (one for one in found if (one.row.of if one.row is not None else "person") == of):
            for line in _members(store, one):
                if heading:
                    click.echo("\n" + "\t".join(heading))
                    heading = ()
                number = "" if line[columns[0]] is None else str(line[columns[0]])
                click.echo("\t".join(cell(value) for value in (one.label, *{**line, columns[0]: number}.values())))
