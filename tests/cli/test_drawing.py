"""Tables on terminals that are too narrow for them."""

from __future__ import annotations

import sys

import click
import pytest

from core.cli.drawing import beneath, prose
from core.cli.output import table

PLAN = ("sync", "audience", "wanted", "ours", "requests", "skipped")
ROWS = [
    ("pricing_regulars_to_mail", "mail tag 'Pricing regular' (new)", 55, 0, 12, "5 no consent, 1 excluded, 14 not found"),
    ("lifecycle_to_crm.trial", "crm list 'Lifecycle: trial'", 155, 129, 2, ""),
]


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        pytest.param(200, set(), id="all fits"),
        pytest.param(110, set(), id="folding is enough"),
        pytest.param(95, {5}, id="the widest prose goes first"),
        pytest.param(60, {1, 5}, id="then the next"),
        pytest.param(38, {1, 4, 5}, id="then figures, from the right"),
        pytest.param(5, {1, 2, 3, 4, 5}, id="what the line is about never goes"),
    ],
)
def test_what_does_not_fit_stands_underneath(room: int, expected: set[int]) -> None:
    """Prose goes before figures, and not before a folded column would be too narrow to read."""
    assert expected == beneath([24, 32, 6, 4, 8, 39], [False, False, True, True, True, False], room)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_column_is_a_few_letters_wide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """At 80 columns an audience stood there as eight lines of three letters."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))

    table(PLAN, ROWS, title="what would be sent")

    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) <= 20
    assert any("pricing_regulars_to_mail" in line for line in lines)
    assert any("'Pricing regular'" in line for line in lines)


def test_a_column_of_nothing_takes_no_room(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where all fits without it, nothing else has to go underneath."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")

    table(("address", "by", "why not and by whom"), [("ann@example.com", "the files of last year", "")])

    told = click.unstyle(capsys.readouterr().out)
    assert (False, True) == ("why not" in told, "ann@example.com  the files" in told)


def test_a_sentence_is_folded_between_words_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal would break it in the middle of a word; a file is for programs, line by line."""
    monkeypatch.setenv("COLUMNS", "30")
    line = "  FAILED  settings  the environment variable HUBSPOT_TOKEN_OF_A_LONG_NAME is not set"
    assert line == prose(line, 10)

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    folded = prose(line, 10).split("\n")
    assert line.split() == " ".join(folded).split()
    assert "  FAILED  settings  the" == folded[0]
    assert all(row.startswith(" " * 10) for row in folded[1:])
