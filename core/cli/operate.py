"""Looking after it: how everything stands, and what was run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, App, say_if_none, verb

if TYPE_CHECKING:
    from core.config.model import Config
    from core.store.runs import Run

SHOWN_RUNS = 20


@verb("status", "tagalong status --check")
@click.option("--check", is_flag=True, help="Say, and by the exit code, whether all is well: one line a trouble.")
@click.option("--daemon", is_flag=True, help="Say only whether the daemon lives, whatever is held or failed: exit 0 or 1.")
@click.pass_obj
def status_command(app: App, check: bool, daemon: bool) -> int:
    """
    Show how every connection and sync stands.

    It speaks of now; --as-of of segments, person and plan answers of the past.
    """
    if check and daemon:
        raise click.UsageError("--check asks whether all is well, --daemon only whether the daemon lives; ask one of them")
    if daemon:
        return _tell_daemon(app)
    if check:
        return _tell_troubles(app)
    from core.cli.overview import show_standing
    from core.cli.standing import read_standing
    from core.errors import ConfigError

    try:
        with app.hub() as hub:
            standing = read_standing(hub)
    except ConfigError:
        _tell_what_runs(app)
        raise
    if app.as_json:
        return app.answer(standing)
    show_standing(standing)
    say_if_none(app, "connections", hub.config.connections)
    return 0


def _tell_daemon(app: App) -> int:
    """Answer a probe: of the config it needs the database alone, so an edit half done says nothing of a daemon that runs."""
    from core.config.load import database_of
    from core.service.daemon import LEASE
    from core.store import Store, leases

    database, alive = database_of(app.path, app.environ), False
    if database.exists():
        with Store(database) as store:
            alive = leases.is_renewed(store.conn, LEASE, app.clock)
    code = 0 if alive else FAILED
    if app.as_json:
        return app.answer({"daemon": alive}, code)
    click.echo(f"The daemon is {'running' if alive else 'not running'}.")
    return code


def _tell_what_runs(app: App) -> None:
    """Say which config the daemon goes on with, where the one in the files is wrong."""
    from core.cli.overview import spell_config
    from core.cli.standing import daemon_config
    from core.config.load import database_of
    from core.errors import HubError
    from core.service.daemon import LEASE
    from core.store import Store, leases

    with suppress(HubError):
        database = database_of(app.path, app.environ)
        if not database.exists():
            return
        with Store(database) as store:
            running = daemon_config(store.conn, app.path) if leases.is_held(store.conn, LEASE, app.clock) else None
        if running is not None:
            app.say(f"The daemon is running. {spell_config(running)}")


def _tell_troubles(app: App) -> int:
    """Answer a health probe: one line a trouble, the worst first."""
    from core.cli.output import clean
    from core.service.health import exit_code, troubles

    found = troubles(app.config(), app.clock)
    code = exit_code(found)
    if app.as_json:
        told = [{"what": t.what, "subject": t.subject, "reason": t.reason, "since": t.since, "remedy": t.remedy} for t in found]
        return app.answer({"as_of": app.clock(), "troubles": told}, code)
    for one in found:
        about = f"{one.subject}: " if one.subject else ""
        remedy = f" ({one.remedy})" if one.remedy else ""
        click.echo(clean(" ".join(f"{one.what}: {about}{one.reason}{remedy}".split())))
    if not found:
        click.echo("All is well.")
    return code


@verb("runs", "tagalong runs crm --limit 50")
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1), default=SHOWN_RUNS, show_default=True, help="How many, newest first.")
@click.pass_obj
def runs_command(app: App, name: str | None, limit: int) -> int:
    """
    List what was run, newest first.

    It speaks of now; a run's own time is in it.
    """
    from core.cli.output import table
    from core.store import Store
    from core.store.runs import requests_of, runs

    config = app.config()
    _known(name, config)
    with Store(config.workspace.database) as store:
        found = [(run, requests_of(store.conn, run.id)) for run in runs(store.conn, name=name, limit=limit)]
    if app.as_json:
        return app.answer({"runs": [_run(run, requests) for run, requests in found]})
    columns = ("run", "what", "name", "by", "started", "took", "status", "requests", "error")
    table(columns, [_run_row(run, requests) for run, requests in found])
    return 0


def _known(name: str | None, config: Config) -> None:
    from core.cli.app import known_names

    if name is not None:
        known_names((name,), {**config.connections, **config.syncs}, "connection or sync")


def _run(run: Run, requests: dict[str, dict[str, int]]) -> dict[str, Any]:
    from core.cli.output import plain

    return {**plain(run), "took_s": _took(run), "requests": requests}


def _took(run: Run) -> float | None:
    return None if run.finished_at is None else (run.finished_at - run.started_at).total_seconds()


def _run_row(run: Run, requests: dict[str, dict[str, int]]) -> list[object]:
    from core.durations import spell_duration

    took = "" if run.finished_at is None else spell_duration(run.finished_at - run.started_at)
    asked = sum(sum(counts.values()) for counts in requests.values())
    status = run.status.value if run.status else "under way"
    return [str(run.id), run.kind, run.name, run.trigger, run.started_at, took, status, asked, run.error]
