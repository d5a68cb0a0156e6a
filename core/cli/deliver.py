"""Planning and sending: plan, sync once, and the daemon."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, HELD, NEWS, App, DurationText, as_of_option, known_names, moment, say_if_none, verb

PLAN_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)

if TYPE_CHECKING:
    from core.pulling.fill import Event, OnEvent, PullRun
    from core.run import SyncReport


@verb("plan", "tagalong plan regulars")
@click.argument("sync", nargs=-1)
@click.option("--members", is_flag=True, help="List who would be sent, held or skipped.")
@click.option("--fresh", type=DurationText(), help="First pull what is older than this.")
@click.option("--full", is_flag=True, help="First pull everything again, from the beginning.")
@click.option("--no-pull", is_flag=True, help="Pull nothing; so it is unless --fresh or --full say otherwise.")
@as_of_option
@click.pass_obj
def plan_command(
    app: App, sync: tuple[str, ...], members: bool, fresh: timedelta | None, full: bool, no_pull: bool, as_of: datetime | None
) -> int:
    """
    Show exactly what sync would do, and send nothing.

    `tagalong plan --json > plan.json` keeps it, for `tagalong sync --plan plan.json` to carry out just that.
    """
    from core.cli.plan_document import as_document, describe_plans
    from core.cli.plans import describe_members, describe_sources
    from core.run import chosen_syncs, connections_under, plan

    if no_pull and (fresh or full):
        raise click.UsageError("--no-pull, and --fresh or --full, contradict each other")
    with app.hub() as hub, stopping(hub.stop), watching("Planning") as on_event, hub.store() as store:
        known_names(sync, hub.config.syncs, "sync")
        at = moment(as_of, hub.config, app.clock) if as_of else None
        plans = plan(hub, names=sync, as_of=at, fresh=fresh, full=full, pull=bool(fresh or full), on_event=on_event)
        under = connections_under(hub.definitions(store), chosen_syncs(hub, sync))
        described = describe_plans(hub, store, plans)
        sources = describe_sources(store, sorted(under), hub.clock())
        if members:
            for told, one in zip(described, plans, strict=True):
                told["members"] = describe_members(store, one)
        code = HELD if any(told["held"] for told in described) else 0
        if app.as_json:
            data = {"as_of": at or (plans[0].as_of if plans else hub.clock()), "plans": described, "sources": sources}
            return app.answer(data if at else as_document(hub, store, plans, data), code)
    say_if_none(app, "syncs", hub.config.syncs)
    _show_plan(described, sources, members=members)
    return code


def _show_plan(described: list[dict[str, Any]], sources: list[dict[str, Any]], *, members: bool) -> None:
    from core.cli.flapping import told_flapping
    from core.cli.output import clean
    from core.cli.plan_document import show_quotas
    from core.cli.tables import show_plans

    show_plans(described)
    show_quotas(described)
    for one in described:
        if one["flapping"]:
            click.echo(clean(told_flapping(one["label"], one["flapping"])))
    _show_sources(sources)
    if members:
        _show_members(described)


def _show_sources(sources: list[dict[str, Any]]) -> None:
    from core.cli.output import age, clean

    ages = [
        f"{one['connection']} " + ("never pulled" if one["age_s"] is None else f"{age(one['age_s'])} old") for one in sources
    ]
    click.echo(clean(f"rests on: {', '.join(ages) or 'nothing'}"))


def _show_members(plans: list[dict[str, Any]]) -> None:
    from core.cli.output import table

    for of, columns in (("person", ("profile_id", "email", "user_id")), ("company", ("company_id", "name", "domain"))):
        several = [told for told in plans if told["of"] == of]
        if several:
            click.echo()
            rows = [
                [told["label"], m["op"], str(m[columns[0]] or ""), *(m[column] for column in columns[1:]), m["note"]]
                for told in several
                for m in told["members"]
            ]
            table(("sync", "op", *columns, "note"), rows)


@verb("sync", "tagalong sync regulars --limit 5")
@click.argument("sync", nargs=-1)
@click.option("--limit", type=click.IntRange(1), help="Change no more than this many members of each sync.")
@click.option("--only", metavar="WHO", help="Send this one person, and show what the vendor answers.")
@click.option("--plan", "plan_file", type=PLAN_FILE, help="Carry out just what `plan --json` wrote there, or nothing.")
@click.option("--fresh", type=DurationText(), help="Pull what is older than this, whatever the schedules say.")
@click.option("--no-pull", is_flag=True, help="Rest on what is stored.")
@click.option("--full", is_flag=True, help="Pull everything again, from the beginning.")
@click.option("--probe", is_flag=True, help="Ask vendors, too, that are left alone for not answering.")
@click.pass_obj
def sync_command(
    app: App,
    sync: tuple[str, ...],
    limit: int | None,
    only: str | None,
    plan_file: Path | None,
    fresh: timedelta | None,
    no_pull: bool,
    full: bool,
    probe: bool,
) -> int:
    """
    Pull what is stale and push what differs; once, then exit.

    WHO is an address, a user id, a profile id or KIND:VALUE.
    """
    from core.alerts.watch import tell_after
    from core.cli.plans import describe_report
    from core.cli.tables import show_report
    from core.run import sync as run_sync

    if no_pull and (fresh or full):
        raise click.UsageError("--no-pull, and --fresh or --full, contradict each other")
    if plan_file is not None and (sync or limit or only or fresh or full or probe):
        raise click.UsageError("--plan says itself what is sent, and pulls nothing: it goes with no SYNC and no other option")
    if only is not None and (len(sync) != 1 or limit):
        raise click.UsageError("--only goes with the name of one SYNC, and without --limit")
    if plan_file is not None:
        from core.cli.apply import apply_plan

        return apply_plan(app, plan_file)
    if only is not None:
        from core.cli.only import sync_only

        return sync_only(app, sync[0], only, fresh=fresh, pull=not no_pull, full=full, probe=probe)
    with app.hub(probe=probe) as hub:
        known_names(sync, hub.config.syncs, "sync")
        syncs = len(sync) or sum(one.enabled for one in hub.config.syncs.values())
        with stopping(hub.stop), watching("Syncing", syncs=syncs) as on_event:
            report = run_sync(hub, names=sync, limit=limit, fresh=fresh, pull=not no_pull, full=full, on_event=on_event)
            tell_after(hub)
        code = FAILED if hub.stop.is_set() else report_code(report)
    described = describe_report(report)
    if app.as_json:
        return app.answer(described, code)
    if not sync:
        say_if_none(app, "syncs", hub.config.syncs)
    show_report(described)
    return code


def report_code(report: SyncReport) -> int:
    """Return the first exit code that applies: failed, held, new dead letters or waiting, for a quota or for somebody else."""
    from core.errors import LeaseLost
    from core.store.runs import Status

    match report.status:
        case Status.FAILED:
            return FAILED
        case Status.HELD:
            return HELD
        case Status.WAITING:
            return NEWS
        case _:
            errors = [*(run.error for run in report.pulls), *(run.error for run in report.syncs)]
            waited = any(isinstance(error, LeaseLost) for error in errors)
            return NEWS if waited or report.new_dead_letters or any(map(newly_unreadable, report.pulls)) else 0


def newly_unreadable(run: PullRun) -> int:
    """Return how many records of a pull could not be read, but for those that are dead letters already for that reason."""
    return 0 if run.report is None else sum(stream.bad - stream.known_bad for stream in run.report.streams)


@verb("run", "tagalong run")
@click.pass_obj
def run_command(app: App) -> int:
    """
    Run every schedule in the config until told to stop.

    A config that was edited is taken over while it runs; one that is wrong is told, and the old one goes on.
    """
    from core.config.watch import ConfigWatch
    from core.service.daemon import run_daemon

    files = ConfigWatch(app.path)
    with app.hub(level="info", attended=False) as hub, stopping(hub.stop), hanging_up() as hangup:
        say_if_none(app, "connections", hub.config.connections)
        ended = run_daemon(hub, files=files, hangup=hangup)
    code = app.answer({"clean": ended}) if app.as_json else 0
    if not ended:  # a vendor that hangs keeps its thread; what it was handed is an open intent, settled at the next start
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


@contextmanager
def hanging_up() -> Iterator[threading.Event]:
    """Yield what SIGHUP sets, which asks for the config to be read again."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield asked
        return
    before = signal.signal(signal.SIGHUP, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def stopping(stop: threading.Event, *also: signal.Signals) -> Iterator[None]:
    """Let SIGINT, SIGTERM and what is *also* named end the work in hand cleanly; a second one ends the process."""

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, *also)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def watching(what: str, *, pulls: int = 0, syncs: int = 0) -> Iterator[OnEvent]:
    """Show on a terminal what is under way: a bar over as many *pulls*, then one over *syncs*, where it is known how many."""
    from core.cli.output import counted, progress

    with progress(what) as shown:
        sent: dict[str, int] = {}
        sending = False
        if pulls:
            shown.of(pulls)

        def on_event(event: Event) -> None:
            nonlocal sending
            if event.what == "sync_started" and not sending:
                sending = True
                shown.of(syncs)
            match event.what:
                case "page_stored":
                    page = event.facts["page"]
                    shown.say(f"{event.name}: {counted(page.records, 'record')}, {page.changed:,} changed")
                case "batch_pushed":
                    sent[event.name] = sent.get(event.name, 0) + int(event.facts["members"])
                    shown.say(f"{event.name}: {sent[event.name]:,} members sent")
                case "pull_waits":
                    shown.say(f"{event.name}: somebody else is pulling it")
                case "pull_started" | "sync_started":
                    shown.say(event.name)
                case "pull_ended" | "sync_ended":
                    shown.step()

        yield on_event
