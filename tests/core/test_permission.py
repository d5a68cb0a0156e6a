"""Who must have said yes, and who only not have said no: by country, at e-mail tools, shown in the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pycountry
import pytest
from support.story import Story, ids, skips

from core.cli.plans import describe_plan
from core.cli.tables import _skipped
from core.config.countries import EU, GROUPS, ConsentRules, contradictions, wrong_countries
from core.config.model import Config
from core.contract import Category
from core.errors import TransientError


class Ruled(Story):
    """A world with rules."""

    rules = ConsentRules()

    def config(self) -> Config:
        config = super().config()
        return replace(config, workspace=replace(config.workspace, consent=self.rules))


@pytest.fixture
def story(tmp_path: Path) -> Ruled:
    """A Swede who said yes, one who said nothing, one who said no; an American; somebody of nowhere."""
    made = Ruled(tmp_path, category=Category.EMAIL)
    made.people(1, country="SE", consent="granted")
    made.people(2, country="SE")
    made.people(3, country="SE", consent="denied")
    made.people(4, country="US")
    made.people(5)
    made.people(6, consent="granted")
    return made


def _reasons(report: Any) -> dict[str, int]:
    return {reason: len(who) for run in report.syncs for plan in run.plans for reason, who in plan.draft.consent.items()}


def test_without_rules_whoever_did_not_say_no_is_added(story: Ruled) -> None:
    """Today's rule, and what the others prevent: people of opt-in countries who said nothing."""
    report = story.sync()
    assert ids(1, 2, 4, 5, 6) == story.there()
    assert {"said_no": 1} == _reasons(report)


def test_in_an_opt_in_country_only_a_yes_is_enough(story: Ruled) -> None:
    """And of whom nobody knows the country, likewise."""
    story.rules = ConsentRules(frozenset({"EU"}))
    report = story.sync()
    assert ids(1, 4, 6) == story.there()
    assert {"said_no": 1, "no_yes": 1, "country_unknown": 1} == _reasons(report)
    assert {"consent": 3} == skips(report)
    (told,) = (describe_plan(plan) for run in report.syncs for plan in run.plans)
    assert {"said_no": 1, "no_yes": 1, "country_unknown": 1} == told["consent"]
    why = "1 no yes and no country, 1 no yes where their country needs one, 1 said no"
    assert f"3 no consent ({why})" == _skipped(told)


def test_an_unknown_country_may_be_one_where_no_yes_is_needed(story: Ruled) -> None:
    """If somebody says so."""
    story.rules = ConsentRules(frozenset({"EU"}), unknown="opt_out")
    story.sync()
    assert ids(1, 4, 5, 6) == story.there()


def test_everywhere_but_somewhere(story: Ruled) -> None:
    """An exception is more than the rule that it is of."""
    story.rules = ConsentRules(frozenset({"*"}), opt_out=frozenset({"US"}))
    story.sync()
    assert ids(1, 4, 6) == story.there()


def test_whoever_is_there_stays_without_a_yes(story: Ruled) -> None:
    """The rules are about adding: nobody is taken out for want of a yes."""
    story.sync()
    story.rules = ConsentRules(frozenset({"*"}))
    story.sync()
    assert ids(1, 2, 4, 5, 6) == story.there()


def _lost(story: Story, *, until: str) -> None:
    """Let a batch get lost, so that nobody knows whether the vendor acted: it did not."""

    def fault(where: str) -> None:
        if where == until:
            raise TransientError("no answer")

    story.vendor.fault = fault
    story.sync()
    story.vendor.fault = None


def test_who_says_no_before_an_add_is_answered_is_not_sent_again(story: Ruled) -> None:
    """The batch was lost and never arrived; sending it again would be the add that was refused. They stay ours for removal."""
    _lost(story, until="before apply")
    assert set() == story.there()
    story.people(1, 4, consent="denied")
    report = story.sync()
    assert ids(2, 5, 6) == story.there()
    assert {"consent": 3} == skips(report)
    story.people(1, 4, consent="granted")
    story.sync()
    assert ids(1, 2, 4, 5, 6) == story.there()


def test_other_tools_are_not_asked(tmp_path: Path) -> None:
    """A CRM's list is no e-mail."""
    story = Ruled(tmp_path, category=Category.CRM)
    story.rules = ConsentRules(frozenset({"*"}))
    story.people(2, country="SE")
    story.sync()
    assert ids(2) == story.there()


def test_a_yes_that_is_gone_is_none(story: Ruled) -> None:
    """The record that said yes was deleted before anybody was added; a no of such a record would stand."""
    story.rules = ConsentRules(frozenset({"EU"}))
    story.segments["vip"] = 'lifecycle_stage == "nobody"'
    story.sync()
    story.vendor.people["1"]["archived"] = True
    story.segments["vip"] = 'lifecycle_stage == "vip"'
    story.sync()
    assert "1" not in story.there()
    story.vendor.people["1"]["archived"] = False
    story.sync()
    assert "1" in story.there()


@pytest.mark.parametrize(
    ("rules", "country", "needed"),
    [
        (ConsentRules(), "SE", False),
        (ConsentRules(), None, False),
        (ConsentRules(frozenset({"EU"})), "SE", True),
        (ConsentRules(frozenset({"EU"})), "NO", False),
        (ConsentRules(frozenset({"EEA"})), "NO", True),
        (ConsentRules(frozenset({"EEA"}), opt_out=frozenset({"SE"})), "SE", False),
        (ConsentRules(frozenset({"*"}), opt_out=frozenset({"EEA"})), "SE", False),
        (ConsentRules(frozenset({"*", "DE"}), opt_out=frozenset({"EU"})), "DE", True),
        (ConsentRules(frozenset({"*"})), "JP", True),
        (ConsentRules(frozenset({"SE"})), None, True),
    ],
)
def test_a_code_is_more_than_a_group_and_a_group_more_than_everywhere(
    rules: ConsentRules, country: str | None, needed: bool
) -> None:
    """Whichever way round they are written."""
    assert needed is rules.needs_yes(country)


def test_the_groups_are_countries() -> None:
    """27 of the Union, 30 of the Economic Area, all of ISO's list."""
    assert (27, 30) == (len(EU), len(GROUPS["EEA"]))
    assert all(pycountry.countries.get(alpha_2=code) for code in GROUPS["EEA"])
    assert ["XX", "Sweden", "se", 1] == wrong_countries(["SE", "EU", "EEA", "*", "XX", "Sweden", "se", 1])
    assert ["EU and EEA"] == contradictions(ConsentRules(frozenset({"EU"}), opt_out=frozenset({"EEA"})))
    assert [] == contradictions(ConsentRules(frozenset({"EU"}), opt_out=frozenset({"SE", "*"})))
