"""Who plays in the demo: the usual ones, whoever is asked for, and nobody who cannot."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import connectors
from core.cli import main
from core.demo.cast import PARTS, Miscast, cast, players


def test_the_usual_ones_play_unless_others_are_asked_for() -> None:
    """Survey answers and events come from the product's own files then."""
    played = cast({})

    assert ["crm", "billing", "mail"] == list(played)
    assert {one.name for one in played.values()} < set(connectors.FIRST)


@pytest.mark.parametrize("option", PARTS)
def test_whoever_plays_has_a_sandbox_that_can_be_told(option: str) -> None:
    """Every player of a part takes what the part is told."""
    for name in players(PARTS[option]):
        assert {PARTS[option].connection} <= cast({option: name}).keys()


def test_who_cannot_play_is_refused_and_told_who_could() -> None:
    """In a sentence, exit 2."""
    with pytest.raises(Miscast, match=r"--crm can be .*hubspot.*, not stripe"):
        cast({"crm": "stripe"})
    result = CliRunner().invoke(main, ["demo", "--email", "nobody"])

    assert 2 == result.exit_code
    assert "--email can be" in result.stderr
