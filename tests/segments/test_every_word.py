"""Each word of the language is true of some people and false of others, and three evaluators say of whom."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from livingworld import LivingWorld, make_template
from phrases import PHRASES, TEXTS, counts, demanded
from threefold import Told, check, define


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Two worlds, evaluated three ways at three times each."""
    folder = tmp_path_factory.mktemp("words")
    template = make_template(folder / "template.db")
    told = Told()
    for seed in (1, 2):
        world = LivingWorld(folder / f"{seed}.db", seed, template)
        defined = define(TEXTS, random.Random(0), folder)
        world.grow(150)
        for _ in range(3):
            for _ in range(6):
                world.edit()
            world.pull()
            check(world, defined, TEXTS, world.hub.at, told, keep=True, seed=seed)
            world.hub.at += timedelta(days=3)
        world.close()
    return told


def test_every_word_has_a_phrase() -> None:
    """A new word of the language, or of its reference page, has to be held to the slow reference as well."""
    assert demanded() == set(PHRASES)


def test_three_evaluators_agree_over_three_hundred_cases(told: Told) -> None:
    assert told.cases >= 300
    assert told.brought_up > 300


def test_each_word_is_true_of_some_and_false_of_some(told: Told) -> None:
    """What is never true, or always, is held to nothing."""
    counted = counts(told.inside, told.outside)
    assert [] == [word for word, (inside, outside) in counted.items() if not inside or not outside]
