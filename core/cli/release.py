"""What a person decides: let through what is held, stand still and go on, start a connection as new."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from core.cli.app import App, verb

if TYPE_CHECKING:
    from core.config.model import Config
    from core.planning.approve import Shown


@verb("approve", "tagalong approve regulars --at-most 60")
@click.argument("target")
@click.option("--at-most", type=click.IntRange(min=0), metavar="N", help="Only if no more members (or rows) than this wait.")
@click.option("--no-send", is_flag=True, help="Let the next runs send it, instead of sending it now.")
@click.option("--yes", is_flag=True, help="Do not ask, as is done on a terminal.")
@click.pass_obj
def approve_command(app: App, target: str, at_most: int | None, no_send: bool, yes: bool) -> int:
    """
    Let through what is held of a sync or of a source.

    TARGET is a sync or CONNECTION.STREAM, as `tagalong status` shows it. Whoever came to be held since it was shown is not let
    through with the others.
    """
    from core.cli.deliver import report_code, stopping, watching
    from core.cli.output import counted
    from core.cli.plans import describe_report
    from core.cli.tables import show_report
    from core.planning.approve import approve, look

    with app.hub() as hub, stopping(hub.stop):
        shown = look(hub, target)
        if not yes and at_most is None and _somebody_looks_on():
            _ask(shown)
        with watching("Approving") as on_event:
            approval = approve(hub, target, shown=shown, at_most=at_most, send=not no_send, on_event=on_event)
    code = report_code(approval.report) if approval.report else 0
    told = {"target": target, "adds": approval.adds, "removes": approval.removes, "deleted": approval.deleted}
    report = describe_report(approval.report) if approval.report else None
    if app.as_json:
        return app.answer({**told, "report": report}, code)
    if "." in target:
        click.echo(f"{target}: {counted(approval.deleted, 'row')} deleted; what rests on it goes on as its own guards allow.")
    else:
        let = f"{counted(approval.adds, 'add')} and {counted(approval.removes, 'removal')}"
        click.echo(f"{target}: {let} let through, for 24 hours.")
    if report:
        show_report(report)
    return code


def _somebody_looks_on() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _ask(shown: Shown) -> None:
    """Show what would be let through as it stands now, which may be more than `status` said a while ago, and ask."""
    from core.cli.drawing import prose
    from core.cli.output import clean, counted

    for reason in shown.reasons:
        click.echo(prose(clean(reason), 2), err=True)
    if shown.adds or shown.removes:
        question = f"Let {counted(shown.adds, 'add')} and {counted(shown.removes, 'removal')} through?"
    elif shown.rows:
        question = f"Delete {counted(shown.rows, 'row')} of {shown.target}?"
    elif shown.holds:
        question = f"Let {shown.target} go on, as the guards for size allow?"
    else:
        question = f"Go by what is stored of {shown.target}?"
    click.confirm(question, abort=True, err=True)


@verb("pause", "tagalong pause mail")
@click.argument("target", required=False)
@click.option("--all", "everything", is_flag=True, help="Pause everything.")
@click.pass_obj
def pause_command(app: App, target: str | None, everything: bool) -> int:
    """Stop a sync, a connection or everything at once."""
    from core.store import Store
    from core.store.pauses import pause

    config = app.config()
    what = _target(target, everything, config)
    with Store(config.workspace.database) as store:
        pause(store, what, at=app.clock())
    if app.as_json:
        return app.answer({"paused": what})
    click.echo(f"Paused {_spoken(what)}.")
    return 0


@verb("resume", "tagalong resume mail")
@click.argument("target", required=False)
@click.option("--all", "everything", is_flag=True, help="Resume everything that is paused.")
@click.pass_obj
def resume_command(app: App, target: str | None, everything: bool) -> int:
    """Let what is paused go on."""
    from core.store import Store
    from core.store.pauses import resume

    config = app.config()
    what = _target(target, everything, config)
    with Store(config.workspace.database) as store:
        resumed = resume(store, what)
    if app.as_json:
        return app.answer({"resumed": what, "was_paused": resumed})
    click.echo(f"Resumed {_spoken(what)}." if resumed else f"{_spoken(what).capitalize()} was not paused.")
    return 0


def _target(name: str | None, everything: bool, config: Config) -> str:
    """Return the target as the store keeps it: `all`, `sync.NAME` or `connection.NAME`."""
    from core.config.names import suggest
    from core.store.pauses import ALL

    if everything == (name is not None):
        raise click.UsageError("name a sync or a connection, or say --all")
    if name is None:
        return ALL
    found = [f"sync.{name}"] if name in config.syncs else []
    found += [f"connection.{name}"] if name in config.connections else []
    if not found:
        kind, _, rest = name.partition(".")
        there = {"sync": config.syncs, "connection": config.connections}.get(kind, {})
        if rest in there:
            return name
        raise click.UsageError(
            f"there is no sync or connection {name!r}; {suggest(name, [*config.syncs, *config.connections])}"
        )
    if len(found) > 1:
        raise click.UsageError(f"{name!r} is a sync and a connection; write {' or '.join(found)}")
    return found[0]


def _spoken(target: str) -> str:
    kind, _, name = target.partition(".")
    return f"the {kind} {name}" if name else "everything"


@verb("rebind", "tagalong rebind crm")
@click.argument("connection")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rebind_command(app: App, connection: str, yes: bool) -> int:
    """Start a connection as new, with another account."""
    from core.cli.app import known_names
    from core.pulling.fill import resolve_now
    from core.store import leases
    from core.store.sources import rebind

    config = app.config()
    known_names((connection,), config.connections, "connection")
    if not yes:
        click.confirm(f"Drop everything that {connection} brought? (Who said no there stays a no.)", abort=True, err=True)
    with app.hub() as hub, leases.hold(hub.path, f"connection.{connection}", app.clock), hub.store() as store:
        rebind(store, connection)
        resolve_now(hub, store)
    if app.as_json:
        return app.answer({"rebound": connection})
    click.echo(f"{connection} starts as new with the next pull.")
    return 0
