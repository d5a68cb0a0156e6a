"""
What every command is handed: where the config is, how to answer, and how loudly to log; and how an error is told.

Data goes to stdout and all else to stderr. Heavy modules are imported where they are used, so `--help` stays quick.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.clock import Clock, utc_now
from core.errors import ConfigError, HubError, Problem

if TYPE_CHECKING:
    from core.config.model import Config
    from core.hub import Hub, Opener

CONFIG_VARIABLE = "TAGALONG_CONFIG"
DEFAULT_CONFIG = Path("tagalong.toml")
FAILED, USAGE, NEWS, HELD = 1, 2, 3, 4


@dataclass(slots=True)
class App:
    """One invocation."""

    config_path: Path | None = None
    as_json: bool = False
    verbosity: int = 0
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = utc_now
    """The demo brings its own."""
    opener: Opener | None = None
    """How connections are opened, if not by `core.http.open_api`; the demo brings its own."""

    @property
    def path(self) -> Path:
        """The config file: --config, else TAGALONG_CONFIG, else ./tagalong.toml."""
        return self.config_path or Path(self.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)

    def config(self, *, level: str = "warning") -> Config:
        """Read the config, after setting up the log at *level* (-v: info, -vv: debug)."""
        from core.config.load import load_config
        from core.log import configure

        configure({0: level, 1: "info"}.get(self.verbosity, "debug"), None)
        return load_config(self.path, self.environ)

    def hub(self, *, level: str = "warning", **options: Any) -> Hub:
        """Read the config and return what pulls and pushes by it; a context manager."""
        from core.cli.definitions import definitions_of
        from core.hub import Hub

        config = self.config(level=level)
        definitions_of(config)  # a wrong expression is told before a database is made or anybody is asked
        if self.opener is not None:
            options.setdefault("opener", self.opener)
        return Hub(config, clock=self.clock, environ=self.environ, **options)

    def say(self, message: str) -> None:
        """Tell the person something that is not data."""
        from core.cli.output import clean

        click.echo(clean(message), err=True)

    def answer(self, data: Mapping[str, object], code: int = 0) -> int:
        """Print *data* as the one JSON object and return *code*; `ok` is false where something failed."""
        from core.cli.output import as_json

        click.echo(as_json({"ok": code not in (FAILED, USAGE), **data}))
        return code


class Verb(click.Command):
    """A command with the options that all share, so `tagalong status --json` works like `tagalong --json status`."""

    def __init__(self, *args: Any, example: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params += shared_options()
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text(f"Example: {self.example}")


def verb(name: str, example: str) -> Callable[[Callable[..., int | None]], Verb]:
    """Make a command of a function that takes the App first and returns the exit code."""
    return click.command(name, cls=Verb, example=example)


def shared_options() -> list[click.Parameter]:
    """Return fresh copies of the options that hold for every command."""

    def keep(attribute: str) -> Callable[[click.Context, click.Parameter, Any], None]:
        def store(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
            app = ctx.ensure_object(App)
            if attribute == "verbosity":
                app.verbosity += value
            elif value:
                setattr(app, attribute, value)

        return store

    file = click.Path(path_type=Path, dir_okay=False)
    quiet: dict[str, Any] = {"expose_value": False, "is_eager": True}
    return [
        click.Option(["--config"], type=file, callback=keep("config_path"), help="The config file.", **quiet),
        click.Option(["--json", "as_json"], is_flag=True, callback=keep("as_json"), help="Print one JSON object.", **quiet),
        click.Option(["-v", "--verbose"], count=True, callback=keep("verbosity"), help="Log more; -vv: all.", **quiet),
    ]


class Moment(click.ParamType[Any]):
    """A time as people write it: `2026-01-31`, `2026-01-31T12:00` (in the workspace's zone unless it says another)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-01-31 or 2026-01-31T12:00", param, ctx)


as_of_option = click.option("--as-of", type=Moment(), help="Answer as things were then.")


def moment(as_of: datetime | None, config: Config, clock: Clock, option: str = "--as-of") -> datetime:
    """Return *as_of* (or now) as aware UTC; a time without a zone is the workspace's. *option* is what it was given with."""
    if as_of is None:
        return clock()
    local = as_of if as_of.tzinfo else as_of.replace(tzinfo=config.workspace.timezone)
    if local > clock():
        raise click.UsageError(f"{option} lies ahead; what was is told, and nothing foretold")
    return local.astimezone(UTC)


class DurationText(click.ParamType[Any]):
    """A duration: `5m`, `24h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from core.durations import parse_duration

        try:
            return value if not isinstance(value, str) else parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


TO_PUT_IN = {
    "connections": "`tagalong connectors` lists the vendors, `tagalong connectors NAME` the lines to put in",
    "segments": "`tagalong recipes` has some that fit most, and docs/language.md every word",
    "syncs": "each says which segment goes where, as in what `tagalong init` writes",
}


def say_if_none(app: App, table: str, there: Mapping[str, object]) -> None:
    """Say on stderr that a command has nothing to do for want of a table of the config, and what to put in."""
    if not there:
        app.say(f"There is no [{table}] in {app.path}: {TO_PUT_IN[table]}.")
    elif not any(getattr(one, "enabled", True) for one in there.values()):
        app.say(f"Every one of [{table}] in {app.path} has enabled = false.")


def known_names(given: tuple[str, ...], known: Mapping[str, object], what: str) -> None:
    """Refuse a name that the config does not have, as bad usage, with the nearest one."""
    from core.config.names import suggest

    for name in given:
        if name not in known:
            raise click.UsageError(f"there is no {what} {name!r}; {suggest(name, known)}")


def failed(app: App, error: BaseException) -> int:
    """Tell *error* in one message and return the exit code."""
    if app.verbosity > 1:
        import traceback

        from core.log import redact

        # unforeseen errors quote what they choked on
        click.echo(redact("".join(traceback.format_exception(error))), err=True, nl=False)
    code, problems = _told(error)
    if not app.as_json:
        for problem in problems:
            app.say(str(problem))
        return code
    from core.cli.output import as_json

    keys = ("message", "file", "line", "key", "remedy", "source", "column")
    told = [{key: getattr(p, key) for key in keys if getattr(p, key) is not None} for p in problems]
    click.echo(as_json({"ok": False, "errors": told}))
    for problem in problems:
        app.say(str(problem))
    return code


def _told(error: BaseException) -> tuple[int, list[Problem]]:
    match error:
        case click.exceptions.Exit():
            return error.exit_code, []
        case click.UsageError():
            verb = f"{error.ctx.command_path} --help" if error.ctx else "tagalong --help"
            return USAGE, [Problem(error.format_message(), remedy=f"`{verb}` says what it takes")]
        case click.ClickException():
            return FAILED, [Problem(error.format_message())]
        case ConfigError():
            return USAGE, list(error.problems)
        case HubError():
            return FAILED, [Problem(str(error))]
        case click.Abort() if not isinstance(
            error.__cause__, KeyboardInterrupt
        ):  # a "no" to a question, or nobody to answer it
            return FAILED, [Problem("not agreed to, so it was not done", remedy="--yes agrees beforehand")]
        case click.Abort() | KeyboardInterrupt():
            return FAILED, [Problem("interrupted; what was under way is finished by the next run")]
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return FAILED, [Problem(f"{where}{error.strerror or type(error).__name__}")]
        case _:  # the text of an unforeseen error may hold anything: people, secrets
            remedy = "this is a fault in tagalong; -vv shows where"
            return FAILED, [Problem(f"unexpected {type(error).__name__}", remedy=remedy)]
