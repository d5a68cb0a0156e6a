"""One person's own: `export-person`, all that is known of them; `unmerge`, where one was made of two."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from core.cli.app import App, verb
from core.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.unmerge import Split


@verb("export-person", "tagalong export-person ann@example.com --output ann.json")
@click.argument("who")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file that only you may read.")
@click.pass_obj
def export_person_command(app: App, who: str, output: Path | None) -> int:
    """
    Write all that is known about one person, as JSON.

    WHO is an address, a user id, a profile id or KIND:VALUE. Nothing is masked and nothing left out, and nobody else is in it:
    docs/people.md says what each section is.
    """
    from core.cli.output import progress
    from core.cli.traits import put_traits
    from core.export import export, find_person
    from core.pulling.fill import resolve_now

    with app.hub() as hub, hub.store() as store:
        hub.register(store)
        at = resolve_now(hub, store)  # what was pulled and is nobody's yet may be theirs
        profile_id = find_person(store, who)
        person: dict[str, object] = {"profile_id": profile_id}
        put_traits(hub.config, store, [person], at)
        traits = person["traits"]
        assert isinstance(traits, dict)
        with progress("Exporting") as shown, _opened(output) as out:
            counts = export(store, hub.config, profile_id, out, at=hub.clock(), traits=traits, on_section=shown.say)
    if output is None:
        return 0
    if app.as_json:
        return app.answer({"profile_id": profile_id, "output": output, "rows": counts})
    click.echo(f"Wrote {sum(counts.values()):,} rows about profile {profile_id} to {output}, which only you may read.")
    return 0


@contextmanager
def _opened(output: Path | None) -> Iterator[_Terminal | IO[str]]:
    """Open a file of mode 0600 that takes its name once it is whole; or standard output."""
    if output is None:
        yield _Terminal()
        return
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise HubError(f"{output}: cannot be written ({error.strerror}); check the folder and its permissions") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


class _Terminal:
    """Standard output; what could move a terminal's cursor is spelled as JSON spells it, and means the same."""

    def write(self, text: str) -> None:
        from core.cli.output import spelled

        sys.stdout.write(spelled(text))


@verb("unmerge", "tagalong unmerge ann@example.com user_id:42")
@click.argument("parts", nargs=-1, metavar="[KEEP PART]")
@click.option("--undo", "undoing", is_flag=True, help="Take it back: they may be one person again.")
@click.option("--dry-run", is_flag=True, help="Show what the two people would be, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def unmerge_command(app: App, parts: tuple[str, ...], undoing: bool, dry_run: bool, yes: bool) -> int:
    """
    Tell two people apart who were taken for one.

    KEEP and PART are an address, a user id, KIND:VALUE, or a record as CONNECTION.STREAM:KEY. They are two people from then on:
    what lies between goes to the nearer one, to KEEP where it is as near to both. Without them, who was told apart is listed.
    """
    from core.pulling.fill import resolve_now
    from core.unmerge import find_node, preview, undo, unmerge

    if not parts and not (undoing or dry_run):
        return _list_cuts(app)
    if len(parts) != 2 or (undoing and dry_run):
        raise click.UsageError("name two identifiers or records that are not one person, and one option at most")
    with app.hub() as hub, hub.store() as store:
        hub.register(store)
        resolve_now(hub, store)
        keep, part = (find_node(store, text) for text in parts)
        if keep == part:
            raise click.UsageError("name two that are different")
        if undoing:
            undone = undo(hub, store, keep, part)
            told = {"keep": keep.text, "part": part.text, "undone": undone}
            said = "may be one person again" if undone else "had not been told apart"
            return _answer(app, told, f"{keep.text} and {part.text} {said}.")
        split = preview(hub, store, keep, part)
        if not app.as_json:
            _show_split(split)
        if not dry_run:
            if not yes:
                click.confirm("Tell them apart?", abort=True, err=True)
            unmerge(hub, store, keep, part)
    told = {"keep": split.keep, "part": split.part, "were_one": split.were_one, "applied": not dry_run}
    done = "Nothing was changed." if dry_run else "They are two people from now on. `tagalong plan` shows what that moves."
    return _answer(app, told, done)


def _answer(app: App, told: dict[str, object], said: str) -> int:
    from core.cli.output import clean

    if app.as_json:
        return app.answer(told)
    click.echo(clean(said))
    return 0


def _list_cuts(app: App) -> int:
    from core.cli.output import table
    from core.clock import from_us
    from core.store import Store
    from core.store.cuts import cuts

    with Store(app.config().workspace.database) as store:
        found = cuts(store.conn)
    if app.as_json:
        return app.answer({"unmerged": [{"keep": c.keep.text, "part": c.part.text, "at": from_us(c.at)} for c in found]})
    if not found:
        click.echo("Nobody was told apart.")
        return 0
    table(("keep", "part", "since"), [(cut.keep.text, cut.part.text, from_us(cut.at)) for cut in found])
    return 0


def _show_split(split: Split) -> None:
    from core.cli.output import cell, clean, counted, table

    if not split.were_one:
        click.echo("They are two people as it is; they will stay so.\n")
    for side in (split.keep, split.part):
        whose = "nobody: no other record has it" if side.profile_id is None else f"profile {side.profile_id}"
        click.echo(clean(f"{side.node}: {whose}"))
        if side.profile_id is None:
            continue
        rows = [
            ("name", side.name), ("email", side.email), ("user id", side.user_id), ("identifiers", side.identifiers),
            ("records", side.records), ("events", counted(side.events, "event")), ("in", side.segments),
            ("not told", side.untold),
        ]  # fmt: skip
        table(("", ""), [(name, cell(value)) for name, value in rows if value])
        click.echo()
