"""`tagalong suppress`: enter by hand that somebody said no, see who did, and take back what was entered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from core.cli.app import FAILED, App, verb


@verb("suppress", 'tagalong suppress ann@example.com --reason "asked by letter"')
@click.argument("who", nargs=-1)
@click.option("--file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Read addresses, one a line.")
@click.option("--channel", default="email", show_default=True, help="What they do not want.")
@click.option("--reason", default="", help="Kept with it.")
@click.option("--lift", is_flag=True, help="End what stands, unless a tool still says so.")
@click.option("--list", "listing", is_flag=True, help="Show who said no, where and since when.")
@click.pass_obj
def suppress_command(
    app: App, who: tuple[str, ...], file: Path | None, channel: str, reason: str, lift: bool, listing: bool
) -> int:
    """
    Enter by hand that people said no.

    WHO is an address, or user_id:VALUE. No e-mail tool is given them any more. A no of a tool is kept by itself, whatever
    becomes of its record, and ends with a yes there. Nothing is written at any vendor.
    """
    from core.store import Store

    config = app.config()
    if listing and (lift or file is not None):
        raise click.UsageError("one of --list and --lift, and no --file with --list")
    asked = [*who, *(_read(file) if file is not None else ())]
    if not asked and not listing:
        raise click.UsageError("say who, or --list")
    identifiers = _identifiers(asked)
    with Store(config.workspace.database) as store:
        if listing:
            return _list(app, store, identifiers or None)
        if lift:
            return _lift(app, store, identifiers, channel.lower())
        return _enter(app, store, identifiers, channel.lower(), reason)


def _read(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is not UTF-8 text; nothing was entered") from None
    return [line for line in lines if line and not line.startswith("#")]


def _identifiers(asked: Iterable[str]) -> list[tuple[str, str]]:
    from core.store.refusals import identifier

    found = []
    for place, who in enumerate(asked, 1):
        read = identifier(who)
        if read is None:
            raise click.UsageError(f"number {place} is neither an address nor user_id:VALUE; nothing was entered")
        found.append(read)
    return list(dict.fromkeys(found))


def _enter(app: App, store: Any, identifiers: list[tuple[str, str]], channel: str, reason: str) -> int:
    from core.clock import to_us
    from core.planning.permission import EMAIL
    from core.store.refusals import enter

    at = to_us(app.clock())
    with store.atomic() as conn:
        news = sum(enter(conn, kind, value, channel=channel, reason=reason, at=at) for kind, value in identifiers)
    if app.as_json:
        return app.answer({"entered": news, "known": len(identifiers) - news, "channel": channel})
    holds = "they are added to no e-mail tool" if channel == EMAIL else "it holds where a sync has `require_consent`,"
    click.echo(f"{news} entered, {len(identifiers) - news} known before; {holds} from the next plan on.")
    return 0


def _lift(app: App, store: Any, identifiers: list[tuple[str, str]], channel: str) -> int:
    from core.clock import to_us
    from core.store.refusals import lift

    lifted, kept = 0, []
    with store.atomic() as conn:
        for kind, value in identifiers:
            ended, standing = lift(conn, kind, value, channel=channel, at=to_us(app.clock()))
            lifted += ended
            kept += standing
    code = FAILED if kept or not lifted else 0
    if app.as_json:
        return app.answer({"lifted": lifted, "standing": [_told(one) for one in kept]}, code)
    click.echo(f"{lifted} lifted.")
    for one in kept:
        app.say(f"{one.source} still says so: only the person's yes there ends it")
    return code


def _list(app: App, store: Any, identifiers: list[tuple[str, str]] | None) -> int:
    from core.cli.output import table
    from core.store.refusals import standing

    found = [_told(one) for one in standing(store.conn, identifiers)]
    if app.as_json:
        return app.answer({"refusals": found})
    if not found:
        click.echo("Nobody said no.")
        return 0
    columns = ("kind", "value", "channel", "source", "since", "reason", "standing")
    table(columns, [[one[column] for column in columns] for one in found])
    return 0


def _told(one: Any) -> dict[str, Any]:
    from core.clock import from_us

    return {
        "kind": one.kind, "value": one.value, "channel": one.channel, "source": one.source,
        "since": from_us(one.since) if one.since else None, "reason": one.reason, "standing": one.standing,
    }  # fmt: skip
