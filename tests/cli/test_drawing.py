"""Tables on terminals that are too narrow for them."""

from __future__ import annotations

import sys

import click
import pytest

from core.cli.drawing import beneath
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
        pytest.param(99, {5}, id="the widest prose goes first"),
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
