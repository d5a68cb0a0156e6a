"""
The command line: `tagalong VERB`. One module a group of commands; nothing heavy is imported before a command runs.

Here are the list of commands, the options that all share, and the one place where an error becomes a message and an exit code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from core.cli.app import App, Verb, failed, shared_options
from core.cli.reader import heed_no_reader

COMMANDS = {
    "init": "setup",
    "check": "setup",
    "connect": "connect",
    "connectors": "catalogue",
    "pull": "fill",
    "fields": "fill",
    "person": "fill",
    "segments": "groups",
    "explain": "explain",
    "recipes": "recipes",
    "plan": "deliver",
    "sync": "deliver",
    "run": "deliver",
    "status": "operate",
    "doctor": "doctor",
    "runs": "operate",
    "alerts": "alerts",
    "dead-letters": "letters",
    "approve": "release",
    "pause": "release",
    "resume": "release",
    "drift": "drift",
    "retire": "retire",
    "rebind": "release",
    "backup": "backup",
    "prune": "prune",
    "export-person": "subject",
    "forget": "forget",
    "suppress": "suppress",
    "unmerge": "subject",
    "demo": "showcase",
}
"""Each command and the module of this package that it is in, in the order in which they are met."""


class Tagalong(click.Group):
    """The group of all commands; turns every failure into one message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"core.cli.{COMMANDS[cmd_name]}")
        command: Verb = getattr(module, cmd_name.replace("-", "_") + "_command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from core.config.names import suggest

            raise click.UsageError(f"there is no command {args[0]!r}; {suggest(args[0], COMMANDS)}", ctx) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        app = extra.setdefault("obj", App())
        given = list(sys.argv[1:] if args is None else args)
        app.as_json = "--json" in given  # so that a usage error, too, is told in the form that was asked for
        if standalone_mode:
            heed_no_reader()
        try:
            _refuse_bytes(given)
            code = super().main(given, prog_name or "tagalong", complete_var, standalone_mode=False, **extra)
        except (Exception, KeyboardInterrupt) as error:
            code = failed(app, error)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


def _refuse_bytes(words: Sequence[str]) -> None:
    """Refuse what was typed in another encoding: the store, a config and a vendor know text, and it would fit none of them."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = word.encode("utf-8", "replace").decode()
            raise click.UsageError(f"{shown!r} is not UTF-8 text, so it can be no name, address or file here") from None


def _show_version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        click.echo(f"tagalong {version('tagalong')}")
        ctx.exit()


@click.group(
    cls=Tagalong,
    params=[
        *shared_options(),
        click.Option(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Say the version."
        ),
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 failed, 2 bad usage or config, 3 new dead letters, drift, or waiting for a "
    "quota or another process, 4 something held.",
)
def main() -> None:
    """Pull people out of your tools, see who is in which segment, and push that back as tags and lists."""
