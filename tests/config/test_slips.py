"""What is typed wrong most often: each is told with file, line, key and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config.load import load_config
from core.errors import ConfigError, Problem
from tests.config.conftest import Write

SLIPS = {
    "a table twice": (b"[segments.a]\nwhere = 'x'\n[segments.a]\n", 3, "[segments.a] is there twice", "put the two together"),
    "a key twice": (b"[workspace]\ncurrency = 'EUR'\ncurrency = 'SEK'\n", 3, "currency is there twice", "leave one"),
    "text without quotes": (b"[workspace]\ntimezone = UTC\n", 2, "Invalid value", "text stands in quotes"),
    "a word processor's quotes": ("[workspace]\ntimezone = “UTC”\n".encode(), 2, "Invalid value", "straight quotes"),
    "double quotes in double": (b'[segments.a]\nwhere = "plan == "team""\n', 2, "Expected newline", "stands in single quotes"),
    "single quotes in single": (b"[segments.a]\ntitle = 'it's'\n", 2, "Expected newline", "stands in double quotes"),
    "a backslash": (b'[segments.a]\nwhere = "\\d"\n', 2, "Unescaped", "single quotes"),
    "another encoding": ("[segments.a]\ntitle = 'å'\n".encode("latin-1"), 2, "is not UTF-8 text", "save the file as UTF-8"),
    "a folder included": (b"\ninclude = ['.']\n", 2, "'.' matches no file", "from the folder of this file"),
    "nothing included": (b"include = ['']\n", 1, "'' matches no file", "from the folder of this file"),
    "a folder for a database": (b"[workspace]\ndatabase = '.'\n", 2, "workspace.database: is a folder", "name the file"),
    "no database": (b"[workspace]\ndatabase = ''\n", 2, "workspace.database: is empty", "name the file"),
    "a city of no zone": (b"[workspace]\ntimezone = 'Mars'\n", 2, "'Mars' is no time zone", "as 'Europe/Stockholm'"),
    "a schedule in words": (
        b"[connections.a]\nschedule = '30 minutes'\n",
        2,
        "connections.a.schedule",
        "'30m' is each half hour",
    ),
}


@pytest.mark.parametrize(("text", "line", "message", "remedy"), SLIPS.values(), ids=SLIPS.keys())
def test_a_slip_is_told_with_its_line_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, line: int, message: str, remedy: str
) -> None:
    """A folder in `include` was a fault of ours, and a key that stands twice "Cannot overwrite a value"."""
    monkeypatch.chdir(tmp_path)
    Path("tagalong.toml").write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load_config(Path("tagalong.toml"), {})

    (problem,) = [p for p in caught.value.problems if message in str(p)]
    assert ("tagalong.toml", line) == (problem.file, problem.line)
    assert remedy in str(problem.remedy)


@pytest.mark.parametrize("written", ["$CRM_TOKEN", "${CRM_TOKEN}"])
def test_a_shell_variable_is_no_secret(load: Write, written: str) -> None:
    """It would go to the vendor as it stands, and come back as a refused key."""
    with pytest.raises(ConfigError) as caught:
        load(f"[connections.mail]\nconnector = 'globex'\ntoken = '{written}'\n")

    (problem,) = [p for p in caught.value.problems if "no shell reads it" in p.message]
    assert ("connections.mail.token", 'write { env = "CRM_TOKEN" }') == (problem.key, problem.remedy)


def test_a_table_that_only_the_environment_names_is_told_by_its_variable(load: Write) -> None:
    """A mistyped name makes a connection of its own; the line of another connection is no help."""
    variable = "TAGALONG_CONNECTIONS__CRN__SCHEDULE"
    with pytest.raises(ConfigError) as caught:
        load(environ={variable: "15m"})

    (problem,) = caught.value.problems
    assert (f"environment variable {variable}", "connections.crn.connector") == (problem.file, problem.key)


@pytest.mark.parametrize(
    ("source", "column", "expected"),
    [
        pytest.param("paying and nope", 11, ["    paying and nope", "               ^"], id="as it stands"),
        pytest.param("a\n\tb == nope", 8, ["    \tb == nope", "    \t     ^"], id="behind a tab"),
        pytest.param('x == "日本" and y', 13, ['    x == "日本" and y', "                   ^"], id="behind wide letters"),
        pytest.param("x" * 9000 + "!" + "y" * 9000, 9000, [f"    …{'x' * 60}!{'y' * 59}…", " " * 65 + "^"], id="far out"),
    ],
)
def test_a_caret_stands_under_what_is_wrong(source: str, column: int, expected: list[str]) -> None:
    """Also where the line is longer than anybody reads: ten thousand letters are no help."""
    assert ["wrong", *expected] == str(Problem("wrong", source=source, column=column)).split("\n")
