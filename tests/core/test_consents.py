"""A no stays a no: whatever becomes of the record that told of it, and whoever the person turns out to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap
from support.pulled import CONTACT, World, contact, stream

from core.contract import Category, Deletions, Kind, Merge, Page, Record, Row, Stream
from core.store import consents
from core.store.consents import denied
from core.store.sources import rebind


def _rows(record: Record) -> Iterator[Row]:
    key = str(record["id"])
    yield Row(Kind.PROFILE, key, {"email": record["email"]})
    if record["state"]:
        yield Row(Kind.CONSENT, key, {"channel": "email", "state": record["state"], "at": None})


class Lists(World):
    """A CRM and a mailing list whose members say yes and no."""

    def __init__(self, path: Path) -> None:
        self.contacts = [contact(1, "ann@example.com"), contact(2, "bo@example.com")]
        self.members: dict[str, dict[str, Any]] = {}
        self.gone: list[str] = []
        self.merged: list[Merge] = []
        self.say("m1", "ann@example.com", "denied")
        self.say("m2", "bo@example.com", "granted")
        members = Stream(
            "members", Kind.PROFILE, pull=self._pull_members, key="id", rows=_rows,
            identifiers={"member_id": "id", "email": "email"}, deletions=Deletions.ABSENCE,
        )  # fmt: skip
        contacts = stream("contacts", lambda: self.contacts, **CONTACT)
        super().__init__(path, crm=(Category.CRM, [contacts]), mail=(Category.EMAIL, [members]))
        self.everything()

    def say(self, id_: str, email: str, state: str | None) -> None:
        self.members[id_] = {"id": id_, "email": email, "state": state}

    def _pull_members(self, api: object, cursor: object, resume: str | None) -> Iterator[Page]:
        yield Page(list(self.members.values()), deleted=list(self.gone), merged=list(self.merged))

    def go_on(self) -> None:
        self.later(hours=1)
        self.everything()

    def said_no(self) -> set[str]:
        """The addresses of the live people who may not be written to."""
        people = dict(self.rows("SELECT id, email FROM profiles WHERE live = 1"))
        return {people[profile_id] for profile_id in denied(self.store.conn, BitMap(people))}


@pytest.fixture(params=["few", "many"])
def lists(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lists:
    """Ann said no, Bo said yes; asked about some people, and about as many that all refusals are read."""
    if request.param == "many":
        monkeypatch.setattr(consents, "MANY", 0)
    return Lists(tmp_path / "t.db")


def _deleted(lists: Lists) -> None:
    del lists.members["m1"]
    lists.gone.append("m1")


def _unseen(lists: Lists) -> None:
    del lists.members["m1"]


def _silent(lists: Lists) -> None:
    lists.say("m1", "ann@example.com", None)


def _unknown(lists: Lists) -> None:
    lists.say("m1", "ann@example.com", "unknown")


def _merged(lists: Lists) -> None:
    del lists.members["m1"]
    lists.say("m3", "ann@example.com", "granted")
    lists.merged.append(Merge("m1", "m3"))


@pytest.mark.parametrize("ends", [_deleted, _unseen, _silent, _unknown, _merged])
def test_a_record_that_is_gone_or_silent_takes_nothing_back(lists: Lists, ends: Any) -> None:
    """Only a yes of the same record does."""
    assert {"ann@example.com"} == lists.said_no()
    ends(lists)
    lists.go_on()
    lists.pull("mail", full=True)
    lists.resolve()
    assert {"ann@example.com"} == lists.said_no()

    lists.gone.clear()
    lists.merged.clear()
    lists.say("m1", "ann@example.com", "granted")
    lists.go_on()
    assert set() == lists.said_no()


def test_a_no_of_a_deleted_record_follows_its_person_through_a_merge(lists: Lists) -> None:
    """Two people turn out to be one, who has said no."""
    _deleted(lists)
    lists.go_on()
    lists.contacts = [contact(2, "bo@example.com"), contact(1, "bo@example.com")]
    lists.go_on()
    (email,) = lists.said_no()
    assert "bo@example.com" == email
    assert [(1,)] == lists.rows("SELECT count(*) FROM profiles WHERE live = 1")


def test_a_no_is_of_the_person_and_of_the_address(lists: Lists) -> None:
    """Ann's record is deleted, she takes another address, and somebody else comes with the one that said no."""
    _deleted(lists)
    lists.go_on()
    lists.contacts[0] = contact(1, "ann.new@example.com")
    lists.go_on()
    lists.contacts.append(contact(9, "ann@example.com"))
    lists.go_on()
    assert {"ann.new@example.com", "ann@example.com"} == lists.said_no()


def test_a_no_outlives_a_rebind(lists: Lists) -> None:
    """The new account's records, whatever their keys, say nothing about it."""
    rebind(lists.store, "mail")
    lists.resolve()
    assert {"ann@example.com"} == lists.said_no()
    assert [("denied",)] == lists.rows("SELECT state FROM consents")

    lists.members.clear()
    lists.say("m1", "cy@example.com", "granted")
    lists.register()
    lists.go_on()
    assert {"ann@example.com"} == lists.said_no()
    rebind(lists.store, "mail")
    lists.resolve()
    assert {"ann@example.com"} == lists.said_no()


def test_a_no_of_somebody_unknown_waits_for_them(lists: Lists) -> None:
    """Unsubscribed and deleted before any other tool knew the address."""
    lists.say("m5", "eve@example.com", "denied")
    lists.go_on()
    del lists.members["m5"]
    lists.gone.append("m5")
    lists.go_on()
    assert {"ann@example.com"} == lists.said_no()
    lists.contacts.append(contact(5, "eve@example.com"))
    lists.go_on()
    assert {"ann@example.com", "eve@example.com"} == lists.said_no()


def test_a_no_counts_before_anybody_found_out_who_said_it(lists: Lists) -> None:
    """Another process may pull while a sync is under way: what came since the last resolve holds for the address at once."""
    lists.say("m3", "bo@example.com", "denied")
    lists.later(hours=1)
    lists.pull("mail")

    assert {"ann@example.com", "bo@example.com"} == lists.said_no()
