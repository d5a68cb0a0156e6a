"""A vendor that merges two listed people and changes the survivor's address at once: nobody falls out of a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import audiences
from support.story import Story, ids
from test_apply import carry_out, keep, told

from core.contract import Merge, Page
from core.pulling.fill import pull
from core.pushing import reach
from core.store.ledger import Entry, State


@pytest.fixture
def merging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Story, dict[str, str]]:
    """A story, and whom its vendor tells of as merged: loser to winner."""
    merged: dict[str, str] = {}
    everybody = audiences.contacts

    def contacts(api: Any, cursor: Any, resume: str | None) -> Iterator[Page]:
        yield from everybody(api, cursor, resume)
        if merged:
            yield Page([], merged=[Merge(loser, winner) for loser, winner in merged.items()])

    monkeypatch.setattr(audiences, "contacts", contacts)
    return Story(tmp_path), merged


def _merge(story: Story, merged: dict[str, str], loser: str, winner: str) -> None:
    """As a vendor does it: the loser is gone, from the lists too, and the winner answers to both addresses and both ids."""
    merged[loser] = winner
    change = story.vendor.change
    # so taking the loser out would take the winner out, who is wanted
    story.vendor.change = lambda id_, op, who, values=None: change(id_, op, merged.get(who, who), values)
    lost = story.vendor.people.pop(loser)
    story.vendor.people[winner]["also"] = (lost["email"],)
    for members in story.vendor.audiences.values():
        members.pop(loser, None)


@pytest.mark.parametrize(("loser", "winner"), [("1", "2"), ("2", "1")])
def test_a_survivor_with_a_new_address_stays_listed(merging: tuple[Story, dict[str, str]], loser: str, winner: str) -> None:
    story, merged = merging
    story.people(1, 2, 3)
    story.sync()
    _merge(story, merged, loser, winner)
    story.people(int(winner), email="new@example.com")
    story.vendor.log.clear()

    for _ in range(2):
        report = story.sync()
        assert report.status == "done"
        assert story.there() == ids(int(winner), 3)
    assert story.vendor.log == []


@pytest.mark.parametrize(("loser", "winner"), [("1", "2"), ("2", "1")])
def test_a_survivor_who_goes_by_the_address_of_the_lost_one_stays_listed(
    merging: tuple[Story, dict[str, str]], loser: str, winner: str
) -> None:
    story, merged = merging
    story.people(1, 2, 3)
    story.sync()
    before = {id_: person["email"] for id_, person in story.vendor.people.items()}
    _merge(story, merged, loser, winner)
    story.people(int(winner), email=before[loser], also=(before[winner],))
    story.vendor.log.clear()

    for _ in range(2):
        report = story.sync()
        assert report.status == "done"
        assert story.there() == ids(int(winner), 3)
    assert story.vendor.log == []


def test_who_lives_on_as_another_record_is_ours_still(merging: tuple[Story, dict[str, str]]) -> None:
    """The vendor moves their place in the list along: by our doing they are there, so we take them out in the end."""
    story, merged = merging
    story.people(1, 3)
    story.people(2, stage="lead")
    story.sync()
    _merge(story, merged, "1", "2")
    story.vendor.audiences["a1"]["2"] = {}
    story.people(2, stage="vip")
    for _ in range(2):
        story.sync()
        assert ids(2, 3) == story.there()
    story.people(2, stage="lead")
    story.sync()
    assert ids(3) == story.there()


@pytest.mark.parametrize("new", ["p2@example.com", "p1@example.com"], ids=["as the other", "by their own address"])
def test_whose_place_was_lost_in_a_merge_is_put_in_again(merging: tuple[Story, dict[str, str]], new: str) -> None:
    """Not every vendor hands the place of the lost one on to a survivor who was not listed."""
    story, merged = merging
    story.people(1, 3)
    story.people(2, stage="lead")
    story.sync()
    _merge(story, merged, "1", "2")
    story.people(2, email=new, also=("p1@example.com", "p2@example.com"))
    story.sync()
    assert ids(2, 3) == story.there()
    story.vendor.log.clear()
    for _ in range(2):
        story.sync()
        assert ids(2, 3) == story.there()
    assert [] == story.vendor.log
    story.people(2, stage="lead")
    story.sync()
    assert ids(3) == story.there()


@pytest.mark.parametrize("moves_on", [False, True], ids=["as it was", "merged once more"])
def test_whom_a_plan_sends_as_another_record_is_in_it_as_that_record(
    merging: tuple[Story, dict[str, str]], tmp_path: Path, moves_on: bool
) -> None:
    """Where the vendor makes yet another one of them before the plan is carried out, that is not what somebody looked at."""
    story, merged = merging
    story.people(1)
    story.people(2, 3, stage="lead")
    story.sync()
    _merge(story, merged, "1", "2")
    story.people(2)
    path = keep(story)
    if moves_on:
        _merge(story, merged, "2", "3")
        story.people(3)
        pull(story.hub())
    moved = told(carry_out(story, path))

    assert (set() if moves_on else ids(2)) == story.there()
    assert moves_on == ("1 of 1 update of vips would be sent otherwise" in "".join(moved))


@pytest.mark.parametrize("wanted", [True, False], ids=["wanted for a while", "not wanted any more"])
@pytest.mark.parametrize(("loser", "winner"), [("1", "2"), ("2", "1")])
def test_who_lives_on_as_somebody_who_was_there_before_us_is_theirs(
    merging: tuple[Story, dict[str, str]], loser: str, winner: str, wanted: bool
) -> None:
    """1 is there by our doing and 2 was there before us: of the two the vendor makes one, whom nobody may take out."""
    story, merged = merging
    story.vendor.make("Vips", ["2"])
    story.people(1, 3)
    story.people(2, stage="lead")
    story.sync()
    assert ids(1, 2, 3) == story.there()
    _merge(story, merged, loser, winner)
    story.people(int(winner), stage="vip" if wanted else "lead")
    story.sync()
    story.people(int(winner), stage="lead")
    for _ in range(2):
        assert "done" == story.sync().status
        assert ids(int(winner), 3) == story.there()
    story.people(3, stage="lead")
    story.sync()
    assert ids(int(winner)) == story.there(), "nobody else stays for it"


def test_who_was_merged_by_mistake_and_is_there_again_is_taken_out_like_anybody(
    merging: tuple[Story, dict[str, str]],
) -> None:
    """The vendor undoes its merge: 1 is one of their own again, and what is done with them is not done with 2."""
    story, merged = merging
    story.people(1, 2, 3)
    story.sync()
    apart, change = dict(story.vendor.people["1"]), story.vendor.change
    _merge(story, merged, "1", "2")
    story.sync()
    assert ids(2, 3) == story.there()

    merged.clear()
    story.vendor.change = change
    story.vendor.people["2"].pop("also")
    story.vendor.people["1"] = apart
    story.sync()
    assert ids(1, 2, 3) == story.there()
    story.people(1, stage="lead")
    for _ in range(2):
        story.sync()
        assert ids(2, 3) == story.there()


def test_what_was_merged_into_a_record_of_the_stream_is_of_its_type() -> None:
    """A lead that became a contact is changed as a contact from then on; who was not merged keeps their type."""
    lead = Entry("p1@example.com", State.OURS, profile_id=1, remote_id="L1", handle="h1", object="lead")

    assert reach.as_merged(lead, {"L1": "7"}) == replace(lead, remote_id="7", object=None, state=State.UNSURE)
    assert reach.as_merged(lead, {"L2": "7"}) == lead
