"""`tagalong alerts`: whom alerts go to, what is open, what could not be delivered; and a message to try it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, App, known_names, verb

if TYPE_CHECKING:
    from core.config.model import AlertConfig
    from core.store import Store

TEST = "test"


@verb("alerts", "tagalong alerts test team")
@click.argument("words", nargs=-1, metavar="[test] [NAME]")
@click.pass_obj
def alerts_command(app: App, words: tuple[str, ...]) -> int:
    """
    Show what alerts have told, or send a test.

    `test` sends a message to every alert, or to NAME alone, and says whether it arrived.
    """
    testing = words[:1] == (TEST,)
    names = words[1:] if testing else words
    config = app.config()
    known_names(names, config.alerts, "alert")
    chosen = [one for one in config.alerts.values() if one.name in names or not names]
    return _test(app, chosen) if testing else _list(app, chosen)


def _test(app: App, chosen: list[AlertConfig]) -> int:
    from core.alerts.courier import send_test
    from core.alerts.watch import courier_of
    from core.cli.output import clean

    with app.hub() as hub:
        courier = courier_of(hub)
        failures = {one.name: send_test(courier, one) for one in chosen if one.enabled}
    told = [{"name": name, "arrived": reason is None, "reason": reason} for name, reason in failures.items()]
    code = FAILED if any(failures.values()) else 0
    if app.as_json:
        return app.answer({"tests": told}, code)
    for name, reason in failures.items():
        click.echo(clean(f"{name}: {'it arrived' if reason is None else reason}"))
    for one in chosen:
        if not one.enabled:
            app.say(f"{one.name} is not enabled, and nothing was sent to it")
    if not chosen:
        click.echo("No alert is configured: [alerts.NAME] in the config says whom to tell (docs/alerts.md).")
    return code


def _list(app: App, chosen: list[AlertConfig]) -> int:
    from core.store import Store

    config = app.config()
    with Store(config.workspace.database) as store:
        told = [_describe(store, one) for one in chosen]
    if app.as_json:
        return app.answer({"alerts": told})
    if not told:
        click.echo("No alert is configured: [alerts.NAME] in the config says whom to tell (docs/alerts.md).")
    for one in told:
        _show(one)
    return 0


def _describe(store: Store, alert: AlertConfig) -> dict[str, Any]:
    from core.clock import from_us
    from core.store import alerts

    away = alerts.away_since(store.conn, alert.name)
    return {
        "name": alert.name, "kind": alert.kind, "on": sorted(alert.on), "when": alert.when, "enabled": alert.enabled,
        "away_since": None if away is None else from_us(away),
        "open": [
            {"subject": subject, "state": state, "since": from_us(since), "reason": reason}
            for subject, state, since, reason in alerts.reasons(store.conn, alert.name)
        ],
        "undelivered": [
            {
                "message_id": one.message_id, "made_at": from_us(one.made_at), "tries": one.attempts, "reason": one.reason,
                "next_try_at": None if one.given_up_at else from_us(one.next_try_at),
                "given_up_at": None if one.given_up_at is None else from_us(one.given_up_at),
                "message": json.loads(one.notice),
            }
            for one in alerts.undelivered(store.conn, alert.name)
        ],
    }  # fmt: skip


def _show(alert: dict[str, Any]) -> None:
    from core.cli.output import cell, clean, table

    state = "" if alert["enabled"] else ", not enabled"
    click.echo(clean(f"{alert['name']} ({alert['kind']}) tells of {cell(alert['on'])}{state}"))
    if alert["away_since"]:
        click.echo(f"  nothing could be delivered since {cell(alert['away_since'])}")
    if alert["open"]:
        columns = ("subject", "state", "since", "reason")
        table(columns, [[one[column] for column in columns] for one in alert["open"]])
    for one in alert["undelivered"]:
        again = f"again at {cell(one['next_try_at'])}" if one["next_try_at"] else "given up"
        why = f"{one['reason']} ({again})" if one["reason"] else "waits for the one before it"
        told = one["message"]
        click.echo(clean(f"  undelivered: {told['what']} {told['subject']} {told['state']}: {why}"))
