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
@click.option(
    "--channel", show_default="email", help="What they do not want: email, phone, post, push, sms, whatsapp; of --list: any."
)
@click.option("--reason", default="", help="Kept with it.")
@click.option("--lift", is_flag=True, help="End what stands, unless a tool still says so.")
@click.option("--list", "listing", is_flag=True, help="Show who said no, where and since when.")
@click.pass_obj
def suppress_command(
    app: App, who: tuple[str, ...], file: Path | None, channel: str | None, reason: str, lift: bool, listing: bool
) -> int:
    """
    Enter by hand that people said no.

    WHO is an address, or user_id:VALUE. No e-mail tool is given them any more. A no of a tool is kept by itself, whatever
    becomes of its record, and ends with a yes there. Nothing is written at any vendor.
    """
    from core.planning.permission import EMAIL
    from core.store import Store

    config = app.config()
    if reason and (lift or listing):
        raise click.UsageError("--reason is kept with what is entered; --lift and --list take none")
    if listing and (lift or file is not None):
        raise click.UsageError("one of --list and --lift, and no --file with --list")
    asked = [*who, *(_read(file) if file is not None else ())]
    if not asked and not listing:
        raise click.UsageError("say who, or --list")
    identifiers = _identifiers(asked)
    with Store(config.workspace.database) as store:
        spoken = None if channel is None else _known(store, channel.strip().lower())
        if listing:
            return _list(app, store, identifiers or None, spoken)
        channel = spoken or EMAIL
        if lift:
            return _lift(app, store, identifiers, channel)
        return _enter(app, store, identifiers, channel, reason)


def _known(store: Any, channel: str) -> str:
    """Return *channel*, or refuse one that nobody speaks of: a no to it would hold nowhere."""
    from core.config.names import suggest
    from core.store.refusals import CHANNELS, channels

    if channel not in CHANNELS and channel not in (known := channels(store.conn)):
        raise click.UsageError(f"there is no channel {channel!r}; {suggest(channel, known)}")
    return channel


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
    from core.store.forgotten import Forgotten
    from core.store.refusals import enter, mark_of

    at = to_us(app.clock())
    with store.atomic() as conn:
        known = Forgotten(conn, store.path)
        news = sum(
            enter(conn, kind, value, channel=channel, reason=reason, at=at, forgotten=known) for kind, value in identifiers
        )
        hashed = sum(mark_of(conn, known, kind, value) is not None for kind, value in identifiers)
    if app.as_json:
        return app.answer({"entered": news, "known": len(identifiers) - news, "hashed": hashed, "channel": channel})
    holds = "they are added to no e-mail tool" if channel == EMAIL else "it holds where a sync has `require_consent`,"
    click.echo(f"{news} entered, {len(identifiers) - news} known before; {holds} from the next plan on.")
    if hashed:
        click.echo(f"{hashed} of them were forgotten: kept is a keyed hash, which holds should they come back.")
    return 0


def _lift(app: App, store: Any, identifiers: list[tuple[str, str]], channel: str) -> int:
    from core.clock import to_us
    from core.store.forgotten import Forgotten
    from core.store.refusals import lift

    lifted, kept, idle = 0, [], []
    with store.atomic() as conn:
        known = Forgotten(conn, store.path)
        for kind, value in identifiers:
            ended, standing = lift(conn, kind, value, channel=channel, at=to_us(app.clock()), forgotten=known)
            lifted += ended
            kept += standing
            idle += [] if ended or standing else [(kind, value)]
        why = _why_nothing(conn, *idle[0], channel) if len(identifiers) == len(idle) == 1 else None
    code = FAILED if kept or not lifted else 0
    if app.as_json:
        return app.answer({"lifted": lifted, "standing": [_told(one) for one in kept], "nothing": len(idle)}, code)
    click.echo(f"{lifted} lifted.")
    for one in kept:
        app.say(f"{one.source} still says so: only the person's yes there ends it")
    if idle:
        app.say(why or f"for {len(idle)} of {len(identifiers)} there was no no to {channel} to lift")
    return code


def _why_nothing(conn: Any, kind: str, value: str, channel: str) -> str:
    """Return why there was nothing to lift: it ended before, is a no to something else, or was never said."""
    from core.clock import from_us
    from core.store.refusals import ended, standing

    others = sorted({one.channel for one in standing(conn, [(kind, value)])})
    if others:
        return f"there is no no to {channel} to lift; it is to {', '.join(others)}: say --channel {others[0]}"
    before = ended(conn, kind, value, channel=channel)
    if before is None:
        return f"nobody said no to {channel} under that {'address' if kind == 'email' else 'user id'}: nothing was to lift"
    by = "by hand" if before[1] == "hand" else "with a yes"
    return f"the no to {channel} ended on {from_us(before[0]):%Y-%m-%d %H:%M}Z {by}: nothing was to lift"


def _list(app: App, store: Any, identifiers: list[tuple[str, str]] | None, channel: str | None) -> int:
    from core.cli.output import table
    from core.store.refusals import standing

    found = [_told(one) for one in standing(store.conn, identifiers, channel=channel)]
    if app.as_json:
        return app.answer({"refusals": found})
    if not found:
        to = f" to {channel}" if channel else ""
        click.echo(f"Nobody said no{to}." if identifiers is None else f"No no of theirs{to} is known.")
        return 0
    columns = ("value", "kind", "channel", "source", "since", "reason", "standing")
    table(columns, [[one[column] for column in columns] for one in found])
    return 0


def _told(one: Any) -> dict[str, Any]:
    from core.clock import from_us

    return {
        "kind": one.kind, "value": one.value, "channel": one.channel, "source": one.source,
        "since": from_us(one.since) if one.since else None, "reason": one.reason, "standing": one.standing,
    }  # fmt: skip
