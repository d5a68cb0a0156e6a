"""Copies of the database: made while the daemon runs, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.app import App, verb

if TYPE_CHECKING:
    from core.upkeep.backup import Made


@verb("backup", "tagalong backup /backups/")
@click.argument("file", type=click.Path())
@click.option("--force", is_flag=True, help="Write over FILE; with --restore, replace a database that is damaged.")
@click.option("--restore", is_flag=True, help="Put FILE in the database's place; the present one is kept aside.")
@click.option("--yes", is_flag=True, help="Do not ask before restoring.")
@click.pass_obj
def backup_command(app: App, file: str, force: bool, restore: bool, yes: bool) -> int:
    """
    Copy the database while the daemon runs.

    FILE may be a folder; the copy is then named by its time. After --restore every sync that had run waits for
    `tagalong approve`.
    """
    from core.config.load import database_of
    from core.log import configure
    from core.upkeep.backup import back_up

    configure("warning", None)
    target = Path(file)
    if file.endswith("/") and not target.is_dir():
        raise click.UsageError(f"there is no folder {file}")
    database = database_of(app.path, app.environ)  # a config half edited is no reason to go without a copy
    if restore:
        return _restore(app, database, target, force=force, yes=yes)
    with _steps("Copying") as on_step:
        made = back_up(database, target, clock=app.clock, replace=force, on_step=on_step)
    if app.as_json:
        return app.answer({
            "path": made.path.absolute(), "made_at": made.made_at, "size": made.size, "version": made.version,
            "not_in_it": [*made.beside, app.path.absolute()],
        })  # fmt: skip
    _tell(app, made)
    return 0


def _tell(app: App, made: Made) -> None:
    from core.cli.output import clean
    from core.store.copies import spell_size

    click.echo(clean(f"{made.path}: {spell_size(made.size)}, as of {made.made_at:%Y-%m-%d %H:%M:%S}Z."))
    click.echo("It holds people and no secrets: keep it as safe as the database. Not in it, and to be kept beside it:")
    for path in (*made.beside, app.path.absolute()):
        click.echo(clean(f"  {path}"))


def _restore(app: App, database: Path, file: Path, *, force: bool, yes: bool) -> int:
    from core.cli.output import clean
    from core.upkeep.backup import examine, put_back

    made_at = examine(file)  # before anything is asked
    if not yes:
        said = f"Put {file}, as of {made_at:%Y-%m-%d %H:%M:%S}Z, in the place of {database}? (That one is kept aside.)"
        click.confirm(clean(said), abort=True, err=True)
    with _steps("Putting back") as on_step:
        done = put_back(database, file, clock=app.clock, made_at=made_at, force=force, on_step=on_step)
    if app.as_json:
        told = {"path": done.path, "made_at": done.made_at, "replaced": done.aside, "carried_over": done.carried}
        return app.answer({**told, "forgotten_again": _forget_again(app)})
    click.echo(clean(f"{done.path} is as of {done.made_at:%Y-%m-%d %H:%M:%S}Z."))
    if done.aside is not None:
        click.echo(clean(f"What was there is {done.aside}."))
        if not done.carried:
            click.echo("It could not be read: which copies there are, and who was erased since, is as this one knows it.")
    again = _forget_again(app)
    if again is None:
        click.echo("Whoever was to be forgotten since may be in it: run `tagalong forget --again`.")
    elif again:
        click.echo(f"{again} forgotten people were in it, and are out of it again.")
    click.echo("Each sync that had run is held until you have looked (`tagalong plan`) and say `tagalong approve SYNC`.")
    return 0


def _forget_again(app: App) -> int | None:
    """Sweep out whoever was forgotten since the copy was made; None where that could not be done now."""
    from core.errors import HubError
    from core.forget.flow import forget_again

    try:
        with app.hub() as hub:
            return forget_again(hub)
    except HubError as error:  # the copy is in its place all the same
        app.say(str(error))
        return None


@contextmanager
def _steps(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far a copy has got, in per cent."""
    from core.cli.output import progress

    with progress(what) as shown:
        shown.of(100)
        done = 0

        def on_step(pages: int, total: int) -> None:
            nonlocal done
            while done < pages * 100 // max(total, 1):
                done += 1
                shown.step()

        yield on_step
