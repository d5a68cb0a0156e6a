"""A sync that writes the values of traits as fields at the destination: who gets which, and what becomes of who leaves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.story import Story, held, ids

from core.errors import ConfigError

FIELDS = {"LEAD_SCORE": "lead_score", "COUNTRY": "country"}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Vips, whose score counts what they did in 30 days."""
    found = Story(tmp_path, kind="carrying", with_events=True)
    found.traits = {
        "lead_score": '10 * count("Logged In", last="30d") + (5 if country == "SE" else 0)',
        "tier": '"hot" if lead_score >= 20 else country',
    }
    found.add_sync("vips", params={"fields": FIELDS})
    found.people(9, stage="lead")
    found.event(9, "Logged In", found.now)  # an event that was never seen would hold the sync
    return found


def values(story: Story) -> dict[str, dict[str, Any]]:
    """Return what each member has at the vendor."""
    return story.vendor.audiences[story.vendor.names["Vips"]]


def test_members_get_the_values_under_their_names_there(story: Story) -> None:
    """Of a trait and of a canonical field; whole numbers without a point."""
    story.people(1, country="SE")
    story.people(2, country="NO")
    story.event(1, "Logged In", story.now)
    story.sync()
    assert {"1": {"LEAD_SCORE": 15, "COUNTRY": "SE"}, "2": {"LEAD_SCORE": 0, "COUNTRY": "NO"}} == values(story)


def test_a_changed_value_is_an_update_in_the_plan(story: Story) -> None:
    """Though nothing of the person's record changed; who is as they were is not sent again."""
    story.people(1, 2, country="SE")
    story.sync()
    story.event(2, "Logged In", story.now)
    report = story.sync()
    (plan,) = report.syncs[0].plans
    assert (0, 1, 0) == (len(plan.adds), len(plan.updates), len(plan.removes))
    assert {"1": 5, "2": 15} == {id_: row["LEAD_SCORE"] for id_, row in values(story).items()}

    (again,) = story.sync().syncs[0].plans
    assert 0 == again.size


def test_a_value_that_changes_with_time_alone_is_sent_again(story: Story) -> None:
    story.people(1, country="SE")
    story.event(1, "Logged In", story.now)
    story.sync()
    story.pass_time(timedelta(days=31))
    story.sync(source_guards=())
    assert 5 == values(story)["1"]["LEAD_SCORE"]


def test_a_missing_value_is_said_to_be_missing(story: Story) -> None:
    story.traits["lead_score"] = 'days_since(last_time("Logged In"))'
    story.people(1, country="SE")
    story.event(2, "Logged In", story.now)
    story.people(2)
    story.sync()
    assert {"LEAD_SCORE": None, "COUNTRY": "SE"} == values(story)["1"]
    assert {"LEAD_SCORE": 0, "COUNTRY": None} == values(story)["2"]


def test_who_leaves_loses_the_values(story: Story) -> None:
    story.people(1, 2, country="SE")
    story.sync()
    story.people(1, stage="lead")
    story.sync()
    assert [("1", ["COUNTRY", "LEAD_SCORE"])] == story.vendor.cleared
    assert ids(2) == story.there()


def test_who_leaves_keeps_the_values_where_the_sync_says_so(story: Story) -> None:
    story.add_sync("vips", params={"fields": FIELDS, "leavers": "keep"})
    story.people(1, 2)
    story.sync()
    story.people(1, stage="lead")
    story.sync()
    assert [("1", [])] == story.vendor.cleared


def test_another_name_there_or_another_trait_is_sent_to_everybody(story: Story) -> None:
    story.people(1, 2, country="SE")
    story.sync()
    story.add_sync("vips", params={"fields": {"SCORE": "lead_score", "COUNTRY": "country"}})
    (plan,) = story.sync().syncs[0].plans
    assert 2 == len(plan.updates)
    assert {"SCORE": 5, "COUNTRY": "SE"} == values(story)["1"]

    story.add_sync("vips", params={"fields": {"SCORE": "tier", "COUNTRY": "country"}})
    story.sync()
    assert {"SCORE": "SE", "COUNTRY": "SE"} == values(story)["1"]


def test_a_sync_rests_on_what_feeds_its_traits(story: Story) -> None:
    """The event that a score counts was never seen: the sync waits, though the segment itself can be told."""
    story.traits["lead_score"] = 'count("Never Sent")'
    story.people(1)
    report = story.sync()
    assert {"vips": ["unseen"]} == held(report)
    assert set() == story.there()


def test_a_field_that_is_no_trait_is_refused_with_the_nearest_name(story: Story) -> None:
    story.add_sync("vips", params={"fields": {"SCORE": "lead_scor"}})
    with pytest.raises(ConfigError, match=r"no trait and no field lead_scor(.|\n)*lead_score"):
        story.sync()
