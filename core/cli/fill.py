"""Filling the store and looking into it: pull, what can be spoken of, one person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, HELD, NEWS, App, known_names, verb

if TYPE_CHECKING:
    from core.fill import PullRun
    from core.segments.describe import Word

BOOKKEEPING = ("id", "live", "changed_at")
CHAPTERS = {
    "field": "people and companies", "company": "people and companies", "source": "as the sources have it",
    "billing": "billing", "survey": "surveys", "question": "surveys", "event": "events", "property": "events",
}  # fmt: skip
"""The table in which `fields` shows each kind of word."""


@verb("pull", "tagalong pull crm billing")
@click.argument("connection", nargs=-1)
@click.option("--full", is_flag=True, help="Pull everything again, to see what vanished.")
@click.pass_obj
def pull_command(app: App, connection: tuple[str, ...], full: bool) -> int:
    """Fill the store from the connections."""
    from core.cli.deliver import stopping, watching
    from core.cli.plans import describe_pull
    from core.cli.tables import show_pulls
    from core.fill import pull

    with app.hub() as hub:
        known_names(connection, hub.config.connections, "connection")
        many = len(connection) or sum(one.enabled for one in hub.config.connections.values())
        with stopping(hub.stop), watching("Pulling", pulls=many) as on_event:
            pulls = pull(hub, names=connection, full=full, on_event=on_event)
        code = FAILED if hub.stop.is_set() else _pull_code(pulls)
    described = [describe_pull(run) for run in pulls]
    if app.as_json:
        return app.answer({"pulls": described}, code)
    show_pulls(described)
    return code


def _pull_code(pulls: list[PullRun]) -> int:
    """Return the first exit code that applies: failed, held, unreadable records or a quota that ran out."""
    from core.cli.deliver import unreadable
    from core.store.runs import Status

    if any(run.status is Status.FAILED for run in pulls):
        return FAILED
    if any(stream.held for run in pulls if run.report for stream in run.report.streams):
        return HELD
    return NEWS if any(run.status is Status.WAITING or unreadable(run) for run in pulls) else 0


@verb("person", "tagalong person ann@example.com")
@click.argument("who")
@click.pass_obj
def person_command(app: App, who: str) -> int:
    """
    Show all that is known of one person.

    WHO is an address, a user id, a profile id or KIND:VALUE.
    """
    from core.store import Store
    from core.store.people import describe_person, find_profiles

    config = app.config()
    with Store(config.workspace.database) as store:
        people = [describe_person(store, profile_id) for profile_id in find_profiles(store, who)]
    if app.as_json:
        return app.answer({"people": people}, 0 if people else FAILED)
    if not people:
        app.say("nobody is known by that; `tagalong segments NAME --members` lists identifiers")
        return FAILED
    for person in people:
        _show_person(person)
    return 0


def _show_person(person: Mapping[str, Any]) -> None:
    from core.cli.output import cell, clean, table

    state = "" if person["live"] else " (gone: every record of theirs is deleted)"
    joined = f", once {cell(person['joined'])}" if person["joined"] else ""
    click.echo(f"profile {person['profile_id']}{joined}{state}")
    fields = {name: value for name, value in person["fields"].items() if value is not None and name not in BOOKKEEPING}
    described = (person["company"] or {}).items()
    company = {f"company.{name}": value for name, value in described if value is not None and name not in BOOKKEEPING}
    identifiers = [(kind, value) for kind, values in person["identifiers"].items() for value in values]
    table(("field", "value"), [*({**fields, **company}).items()])
    click.echo()
    table(("identifier", "value"), identifiers)
    for stream, records in person["records"].items():
        for record in records:
            click.echo()
            gone = " (deleted)" if record["deleted"] else ""
            # numbers as the vendor has them: an id or a time in seconds is no amount
            rows = [(name, cell(value) if isinstance(value, bool) else str(value)) for name, value in _own(record)]
            table((clean(f"{stream} {record['key']}{gone}"), ""), rows)
    for kind, rows in person["rows"].items():
        click.echo()
        table((kind, ""), [(cell(row["connection"]), _facts(row)) for row in rows])
    if person["events"]["counts"]:
        click.echo()
        table(("event", "count"), list(person["events"]["counts"].items()))
    click.echo(clean(f"\nin: {', '.join(person['segments']) or 'no segment as of the last run'}"))
    for one in person["audiences"]:
        click.echo(clean(f"{one['state']}: the {one['kind']} {one['name']!r} at {one['connection']} ({one['sync']})"))


def _own(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in record.items() if name not in ("key", "deleted") and value is not None]


def _facts(row: Mapping[str, Any]) -> str:
    from core.cli.output import cell

    return ", ".join(
        f"{name} {cell(value)}" for name, value in row.items() if name not in ("connection", "key") and value is not None
    )


@verb("fields", "tagalong fields country")
@click.argument("text", required=False, default="")
@click.pass_obj
def fields_command(app: App, text: str) -> int:
    """Show what segments can speak of."""
    from core.cli.definitions import vocabulary_of
    from core.segments.describe import describe
    from core.store import Store

    config = app.config()
    with Store(config.workspace.database) as store:
        words = describe(store, vocabulary_of(config, store), text)
    if app.as_json:
        return app.answer({"fields": [word.as_json() for word in words]})
    if not words:
        app.say("nothing yet that contains it; `tagalong pull` fills the store")
    _show_words(words)
    return 0


def _show_words(words: Iterable[Word]) -> None:
    """Print words in tables, people first, then what the sources call things, then what happened."""
    from core.cli.output import table

    chapters: dict[str, list[Word]] = {}
    for word in words:
        chapters.setdefault(CHAPTERS[word.kind], []).append(word)
    for number, (title, several) in enumerate(chapters.items()):
        click.echo("\n" * bool(number), nl=False)
        rows = [[w.name, w.type, "" if w.coverage is None else f"{w.coverage:.0%}", w.samples] for w in several]
        table((title, "type", "have it", "for example"), rows)
