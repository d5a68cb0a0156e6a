"""Filling the store and looking into it: pull, what can be spoken of, one person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, HELD, NEWS, App, as_of_option, known_names, moment, say_if_none, verb
from core.cli.traits import put_traits, show_traits, trait_words

if TYPE_CHECKING:
    from core.config.model import Config
    from core.pulling.fill import PullRun
    from core.segments.describe import Word
    from core.store import Store

BOOKKEEPING = ("id", "live", "changed_at")
CHAPTERS = {
    "field": "people and companies", "company": "people and companies", "source": "as the sources have it",
    "billing": "billing", "survey": "surveys", "question": "surveys", "event": "events", "property": "events",
    "trait": "traits",
}  # fmt: skip
"""The table in which `fields` shows each kind of word."""


@verb("pull", "tagalong pull crm billing")
@click.argument("connection", nargs=-1)
@click.option("--full", is_flag=True, help="Pull everything again, from the beginning, to see what vanished.")
@click.option("--probe", is_flag=True, help="Ask vendors, too, that are left alone for not answering.")
@click.pass_obj
def pull_command(app: App, connection: tuple[str, ...], full: bool, probe: bool) -> int:
    """Fill the store from the connections."""
    from core.alerts.watch import tell_after
    from core.cli.deliver import stopping, watching
    from core.cli.plans import describe_pull
    from core.cli.tables import show_pulls
    from core.pulling.fill import pull

    with app.hub(probe=probe) as hub:
        known_names(connection, hub.config.connections, "connection")
        many = len(connection) or sum(one.enabled for one in hub.config.connections.values())
        with stopping(hub.stop), watching("Pulling", pulls=many) as on_event:
            pulls = pull(hub, names=connection, full=full, on_event=on_event)
            tell_after(hub)
        code = FAILED if hub.stop.is_set() else _pull_code(pulls)
    described = [describe_pull(run) for run in pulls]
    if app.as_json:
        return app.answer({"pulls": described}, code)
    if not connection:
        say_if_none(app, "connections", hub.config.connections)
    show_pulls(described)
    return code


def _pull_code(pulls: list[PullRun]) -> int:
    """Return the first exit code that applies: failed, held, newly unreadable records or waiting, for a quota or for others."""
    from core.cli.deliver import newly_unreadable
    from core.errors import LeaseLost
    from core.store.runs import Status

    if any(run.status is Status.FAILED for run in pulls):
        return FAILED
    if any(stream.held for run in pulls if run.report for stream in run.report.streams):
        return HELD
    waited = any(run.status is Status.WAITING or isinstance(run.error, LeaseLost) for run in pulls)
    return NEWS if waited or any(map(newly_unreadable, pulls)) else 0


@verb("person", "tagalong person ann@example.com")
@click.argument("who")
@as_of_option
@click.pass_obj
def person_command(app: App, who: str, as_of: datetime | None) -> int:
    """
    Show all that is known of one person.

    WHO is an address, a user id, a profile id or KIND:VALUE. With --as-of, fields, events and segments are as they were then;
    records, identifiers and audiences are told as they are now.
    """
    from core.store import Store
    from core.store.people import describe_person, find_profiles

    config = app.config()
    at = moment(as_of, config, app.clock)
    with Store(config.workspace.database) as store:
        then = None if as_of is None else at
        people = [describe_person(store, profile_id, then) for profile_id in find_profiles(store, who)]
        if then is not None and people:
            _put_segments(config, store, people, then)
        put_traits(config, store, people, at)
    for person in people:  # a company's id says nothing of the person who has the same number
        person["segments"] = [name for name in person["segments"] if not _of_companies(config, name)]
    if app.as_json:
        return app.answer({"as_of": at, "people": people}, 0 if people else FAILED)
    if not people:
        app.say("nobody is known by that; `tagalong segments NAME --members` lists identifiers")
        return FAILED
    for person in people:
        _show_person(person, then)
    return 0


def _of_companies(config: Config, name: str) -> bool:
    segment = config.segments.get(name.removeprefix("segment."))
    return segment is not None and segment.of == "company"


def _put_segments(config: Config, store: Store, people: Iterable[dict[str, Any]], at: datetime) -> None:
    """Say of *people* in which segments they were at *at*, and which of those words only today could answer."""
    from core.cli.definitions import definitions_of
    from core.segments.evaluate import evaluate

    found = evaluate(store, definitions_of(config, store), as_of=at)
    doubts = {what for several in found.approximate.values() for what in several}
    for person in people:
        person["segments"] = sorted(name for name, members in found.sets.items() if person["profile_id"] in members)
        person["approximate"] += sorted(doubts) + [f"{name}: {reason}" for name, reason in sorted(found.failed.items())]


def _show_person(person: Mapping[str, Any], then: datetime | None) -> None:
    from core.cli.drawing import prose
    from core.cli.group_sizes import gathered
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
    click.echo()
    table(("brought by", "as", "identifiers"), _link_rows(person["links"]))
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
    show_traits(person["traits"])
    none = "no segment as of the last run" if then is None else "no segment then"
    click.echo(clean(f"\nin: {', '.join(person['segments']) or none}"))
    for one in person["audiences"]:
        click.echo(clean(f"{one['state']}: the {one['kind']} {one['name']!r} at {one['connection']} ({one['sync']})"))
    if person["approximate"]:
        click.echo(prose(clean(f"answered as of today: {', '.join(gathered(list(dict.fromkeys(person['approximate']))))}"), 4))


def _link_rows(links: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return a row for each set of identifiers of a stream: a customer's hundred invoices link alike."""
    together: dict[tuple[str, str, str], list[str | None]] = {}
    for link in links:
        values = (
            f"{one['kind']}:{one['value']}"
            + (" (blocked: it would join too many people)" if one["blocked"] else "")
            + (" (told apart: somebody else's)" if one["apart"] else "")
            for one in link["identifiers"]
        )
        gone = "" if link["live"] else ", deleted"
        together.setdefault((link["stream"], link["trust"] + gone, ", ".join(values)), []).append(link["record"])
    return [(_brought_by(stream, records), trust, values) for (stream, trust, values), records in together.items()]


def _brought_by(stream: str, records: Sequence[str | None]) -> str:
    """Name the record, or say how many; an event stream's links are of no record."""
    named = [record for record in records if record is not None]
    if len(named) > 1:
        return f"{stream} ({len(named):,} records)"
    return f"{stream} {named[0]}" if named else stream


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
    """
    Show what segments can speak of.

    It speaks of now. Names, addresses and ids of people are masked in the examples.
    """
    from core.cli.definitions import vocabulary_of
    from core.segments.describe import MASKED, describe
    from core.store import Store

    config = app.config()
    with Store(config.workspace.database) as store:
        words = [*describe(store, vocabulary_of(config, store), text), *trait_words(config, store, text, app.clock())]
    if app.as_json:
        return app.answer({"fields": [word.as_json() for word in words]})
    if not words:
        app.say("nothing yet that contains it; `tagalong pull` fills the store")
    _show_words(words)
    if any(MASKED in sample for word in words for sample in word.samples):
        click.echo("\nNames, addresses and ids of people are masked in the examples.")
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
