"""One person's own: `export-person`, all that is known of them."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from core.cli.app import App, verb

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    from core.fill import resolve_now

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
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


class _Terminal:
    """Standard output; what could move a terminal's cursor is spelled as JSON spells it, and means the same."""

    def write(self, text: str) -> None:
        from core.cli.output import spelled

        sys.stdout.write(spelled(text))
