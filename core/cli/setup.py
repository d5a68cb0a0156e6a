"""Setting up: write a config, test every connection."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, App, say_if_none, verb

if TYPE_CHECKING:
    from core.config.model import AlertConfig, Config, ConnectionConfig
    from core.contract import CheckStep

ACCOUNT = "account"
MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


@verb("init", "tagalong init")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the config file instead, for an editor.")
@click.pass_obj
def init_command(app: App, schema: bool) -> int:
    """Write a commented config to start from."""
    if schema:
        return _print_schema(app)
    from core.cli.starting import starting_config

    text = starting_config().encode()
    try:
        with os.fdopen(os.open(app.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(text)
    except FileExistsError as error:
        raise click.UsageError(f"{app.path} is there already; name another with --config") from error
    if app.as_json:
        return app.answer({"config": app.path})
    click.echo(f"Wrote {app.path}. Put your connections in, then run `tagalong check`.")
    return 0


def _print_schema(app: App) -> int:
    import json

    from core.config.json_schema import config_schema

    if app.as_json:
        return app.answer({"schema": config_schema()})
    click.echo(json.dumps(config_schema(), indent=2, ensure_ascii=False))
    return 0


@verb("check", "tagalong check crm")
@click.argument("connection", nargs=-1)
@click.pass_obj
def check_command(app: App, connection: tuple[str, ...]) -> int:
    """Read the config and test every connection."""
    from core.cli.app import known_names
    from core.cli.output import progress

    config = app.config()
    known_names(connection, config.connections, "connection")
    warnings, unchecked = _warnings(config)
    chosen = [one for one in config.connections.values() if one.name in connection or (not connection and one.enabled)]
    tested: list[dict[str, Any]] = []
    with progress("Testing") as shown:
        shown.of(len(chosen))
        for one in chosen:
            shown.say(one.name)
            tested.append({"name": one.name, "connector": one.connector, "steps": list(steps_of(app, config, one))})
            shown.step()
    alerts: list[dict[str, Any]] = []
    if not connection:
        alerts = [{"name": one.name, "steps": [_alert_step(app, config, one)]} for one in config.alerts.values() if one.enabled]
    failed = any(step.result == "failed" for one in [*tested, *alerts] for step in one["steps"])
    code = FAILED if failed else 0
    if app.as_json:
        return app.answer({"connections": tested, "alerts": alerts, "warnings": warnings, "unchecked": unchecked}, code)
    _show(config, tested, warnings, unchecked)
    say_if_none(app, "connections", config.connections)
    for alert in alerts:
        click.echo(f"\nalert {alert['name']}")
        show_steps(alert["steps"])
    return code


def _show(config: Config, tested: list[dict[str, Any]], warnings: list[str], unchecked: list[str]) -> None:
    from core.cli.output import clean, counted

    told = [counted(len(config.segments), "segment"), counted(len(config.partitions), "partition")]
    click.echo(f"The config is sound: {', '.join([*told, counted(len(config.syncs), 'sync')])}.")
    for warning in warnings:
        click.echo(clean(f"warning: {warning}"), err=True)
    if unchecked:
        of = ", ".join(unchecked)
        click.echo(clean(f"Names of events, questions and source fields are checked after the first complete pull of {of}."))
    for one in tested:
        click.echo(f"\n{one['name']} ({one['connector']})")
        show_steps(one["steps"])


def _alert_step(app: App, config: Config, alert: AlertConfig) -> CheckStep:
    """Return whether an alert's secrets are there; `alerts test` says whether a message arrives."""
    from core.config.alerts import endpoint
    from core.contract import CheckStep, Result
    from core.errors import ConfigError

    try:
        endpoint(alert, config.folder, app.environ)
    except ConfigError as error:
        (problem, *_) = error.problems
        return CheckStep("settings", Result.FAILED, detail=problem.placed, remedy=problem.remedy or "")
    return CheckStep("settings", Result.PASSED, detail=f"`tagalong alerts test {alert.name}` sends a message")


def show_steps(steps: Iterable[CheckStep]) -> None:
    """Print what came of testing a connection, with what to do about a failure."""
    from core.cli.drawing import prose
    from core.cli.output import clean

    for step in steps:
        detail = f"  {step.detail}" if step.detail else ""
        click.echo(prose(clean(f"  {MARKS[step.result]:8}{step.name}{detail}".rstrip()), 10))
        if step.remedy and step.result != "passed":
            click.echo(prose(clean(f"          {step.remedy}"), 10))


def _warnings(config: Config) -> tuple[list[str], list[str]]:
    """
    Return what is allowed and unwise, and the connections that were never pulled to an end, of which nothing can be said.

    Expressions that are wrong raise ConfigError with their carets.
    """
    from core.cli.definitions import definitions_of
    from core.config.secrets import exposed_secrets

    exposed = [
        f"{place.file}: {place.key} is written out and others may read the file; run `chmod 600`, or move it to the environment"
        for place in exposed_secrets(config)
    ]
    definitions = definitions_of(config)
    unpulled = {stream.text for stream in definitions.vocabulary.streams if not stream.completed}
    doubts: dict[str, str] = {}
    unchecked: set[str] = set()
    for one in definitions.sets.values():
        if one.warnings and one.rests_on <= unpulled:
            unchecked |= {stream.partition(".")[0] for stream in one.rests_on}
            continue
        for warning in one.warnings:  # a set that names another has its doubts too
            doubts.setdefault(warning, f"{one.place.file}:{one.place.line}: {one.name}: {warning}")
    return [*exposed, *doubts.values()], sorted(unchecked)


def steps_of(app: App, config: Config, connection: ConnectionConfig) -> Iterator[CheckStep]:
    """Yield the connector's own steps between resolving the secrets and recognising the account."""
    from core.config.secrets import resolve_settings
    from core.contract import CheckStep, Result
    from core.errors import ConfigError, HubError
    from core.http import is_signed_in, open_api
    from core.registry import load_connector

    connector = load_connector(connection.connector)
    where: dict[str, Any] = {
        "connection": connection.name, "store_path": config.workspace.database, "tokens": config.workspace.tokens,
    }  # fmt: skip
    try:
        settings = resolve_settings(connector, connection, config.folder, app.environ)
        api = open_api(connector, settings, **where, folder=config.folder, clock=app.clock, probe=True)
    except ConfigError as error:
        for problem in error.problems:
            yield CheckStep("settings", Result.FAILED, detail=problem.placed, remedy=problem.remedy or "")
        return
    yield CheckStep("settings", Result.PASSED)
    with api:
        try:
            if not is_signed_in(connector, settings, **where):
                yield CheckStep(
                    "sign in", Result.FAILED, detail="not signed in", remedy=f"run `tagalong connect {connection.name}`"
                )  # fmt: skip
                return
            told = False
            for step in connector.check(api) if connector.check else ():
                yield step
                if step.result is Result.FAILED:
                    return
                told = told or step.name == ACCOUNT
            step = _account_step(config, connection, connector.account(api))
            if not told or step.result is Result.FAILED:  # else the connector's own step said it
                yield step
        except HubError as error:
            remedy = "try again later; if it stays, see the connector's README"
            yield CheckStep("reach", Result.FAILED, detail=str(error), remedy=remedy)


def bound_account(config: Config, connection: str) -> str | None:
    """Return the account from which what is stored came, None where there is none yet."""
    from core.store import Store

    if not config.workspace.database.exists():
        return None
    with Store(config.workspace.database) as store:
        row = store.conn.execute("SELECT account FROM connections WHERE name = ?", (connection,)).fetchone()
        return None if row is None or row[0] is None else str(row[0])


def _account_step(config: Config, connection: ConnectionConfig, account: str) -> CheckStep:
    from core.contract import CheckStep, Result

    bound = bound_account(config, connection.name)
    if bound is None or bound == account:
        return CheckStep(ACCOUNT, Result.PASSED, detail=account)
    remedy = f"put the old credentials back, or run `tagalong rebind {connection.name}` to start as new"
    return CheckStep(ACCOUNT, Result.FAILED, detail=f"{account}, but what is stored came from {bound}", remedy=remedy)
