"""The command line before it does anything: its commands, their help, and how little it loads."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from core.cli import COMMANDS, main

HELP = """\
Usage: tagalong [OPTIONS] COMMAND [ARGS]...

  Pull people out of your tools, see who is in which segment, and push that
  back as tags and lists.

Options:
  --config FILE  The config file.
  --json         Print one JSON object.
  -v, --verbose  Log more; -vv: all.
  --version      Say the version.
  -h, --help     Show this message and exit.

Commands:
  init           Write a commented config to start from.
  check          Read the config and test every connection.
  connect        Sign in at a vendor, once; the token is kept and renewed.
  connectors     List the connectors there are, or describe one.
  pull           Fill the store from the connections.
  fields         Show what segments can speak of.
  person         Show all that is known of one person.
  segments       Show how big segments are, what changed and who is in.
  explain        Show why a person is in a segment, or is not.
  recipes        List segments and partitions that fit most, or add one.
  plan           Show exactly what sync would do, and send nothing.
  sync           Pull what is stale and push what differs; once, then exit.
  run            Run every schedule in the config until told to stop.
  status         Show how every connection and sync stands.
  doctor         Examine the file, the machine and the work.
  runs           List what was run, newest first.
  alerts         Show what alerts have told, or send a test.
  dead-letters   List what was given up on for now, and why.
  approve        Let through what is held of a sync or of a source.
  pause          Stop a sync, a connection or everything at once.
  resume         Let what is paused go on.
  drift          Compare who is in each audience with what we believe.
  retire         List audiences that no sync fills, or let go of one.
  rebind         Start a connection as new, with another account.
  backup         Copy the database while the daemon runs.
  prune          Let go of history that is kept no longer.
  export-person  Write all that is known about one person, as JSON.
  forget         Erase a person, and never let them come back.
  suppress       Enter by hand that people said no.
  unmerge        Tell two people apart who were taken for one.
  demo           Show everything with made-up people in built-in sandboxes.

  Exit codes: 0 done, 1 failed, 2 bad usage or config, 3 new dead letters,
  drift, or waiting for a quota or another process, 4 something held.
"""
HEAVY = {
    "pydantic",
    "httpx",
    "rich",
    "sqlite_utils",
    "apscheduler",
    "structlog",
    "pyroaring",
    "sqlite3",
    "core.config",
    "core.store",
}


def test_the_help_lists_every_command() -> None:
    """In the order in which they are met."""
    result = CliRunner().invoke(main, ["--help"], prog_name="tagalong", terminal_width=78)

    assert 0 == result.exit_code
    assert HELP == result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_sentence_and_an_example(name: str) -> None:
    """The example begins with the command itself."""
    result = CliRunner().invoke(main, [name, "--help"], prog_name="tagalong")
    command = main.get_command(click.Context(main), name)

    assert 0 == result.exit_code
    assert command is not None
    assert (command.help or "").split("\n\n")[0].strip().endswith(".")
    assert f"Example: tagalong {name}" in result.stdout
    assert {"--json", "--config", "-v"} <= {option for param in command.params for option in param.opts}


def test_help_loads_nothing_heavy() -> None:
    """`tagalong --help`, with the help of every command, is quick because of what it does not import."""
    code = (
        "import sys\nfrom core.cli import COMMANDS, main\n"
        "for words in (['--help'], *([name, '--help'] for name in COMMANDS)):\n"
        "    main(words, standalone_mode=False)\n"
        "print('LOADED', *sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(out.rsplit("LOADED", 1)[1].split())

    assert {"click", "core.errors"} <= loaded
    assert set() == HEAVY & loaded


def test_the_version() -> None:
    """As installed."""
    assert CliRunner().invoke(main, ["--version"]).stdout.startswith("tagalong ")
