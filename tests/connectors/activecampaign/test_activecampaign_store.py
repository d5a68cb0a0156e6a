"""The streams through the core's pull and resolve: who may be added, who is gone, a broken pull continued."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pyroaring import BitMap
from support.connected import Connected
from support.members import many, people

from connectors.activecampaign.sandbox_state import exclusion
from core.contract import Fault
from core.pulling.pull_report import PullReport
from core.store.consents import denied

SETTINGS = {"url": "https://example.api-us1.com", "api_key": {"env": "ACTIVECAMPAIGN_KEY"}}


@pytest.fixture
def pull(mail: Any, store: Any, clock: Any) -> Callable[[], PullReport]:
    """Pull and resolve once; two hours pass before each."""
    mine = Connected(store, clock, "activecampaign", SETTINGS, name="mail")

    def once() -> PullReport:
        clock.advance(timedelta(hours=2))
        report = mine.pull(mail)
        mine.resolve()
        return report

    return once


def _profiles(store: Any) -> dict[str, int]:
    return dict(store.conn.execute("SELECT email, id FROM profiles WHERE live = 1 AND email IS NOT NULL").fetchall())


def _denied(store: Any) -> set[str]:
    profiles = _profiles(store)
    said_no = denied(store.conn, BitMap(profiles.values()))
    return {email for email, id_ in profiles.items() if id_ in said_no}


def test_who_said_no_anywhere_is_denied_until_they_say_yes_there(mail: Any, store: Any, pull: Any) -> None:
    """A refusal on one list counts, though another list is active; only a yes on that list undoes it."""
    mail.sandbox.load("members", [*people("Ann@Example.com"), *people("bo@example.com", status="unsubscribed")])
    mail.sandbox.state.lists[5] = "Another"
    mail.sandbox.state.by_email("ann@example.com").lists[5] = 2
    pull()
    assert {"ann@example.com", "bo@example.com"} == _denied(store)

    mail.sandbox.state.by_email("ann@example.com").lists[5] = 1
    mail.sandbox.load("members", people("bo@example.com", status="subscribed", first_name="Bo"))
    mail.sandbox.load("members", people("ann@example.com", first_name="Ann"))
    pull()
    assert set() == _denied(store)


def test_an_unsubscribe_shows_although_the_contact_did_not_change(mail: Any, store: Any, pull: Any) -> None:
    """Refusals are read whole."""
    mail.sandbox.load("members", people("ann@example.com"))
    pull()
    mail.sandbox.state.by_email("ann@example.com").lists[1] = 2
    pull()

    assert {"ann@example.com"} == _denied(store)


def test_an_excluded_address_is_denied_and_makes_nobody(mail: Any, store: Any, pull: Any) -> None:
    """Quirk 11: it finds a person, now or later, and is none."""
    mail.sandbox.load("members", people("ann@example.com"))
    mail.sandbox.state.exclusions += [exclusion(7, "Ann@example.com"), exclusion(8, "later@example.com")]
    pull()
    assert {"ann@example.com"} == _profiles(store).keys() == _denied(store)

    mail.sandbox.load("members", people("later@example.com"))
    pull()
    assert {"ann@example.com", "later@example.com"} == _denied(store)


def test_deleted_contacts_are_gone(mail: Any, store: Any, pull: Any, clock: Any) -> None:
    """Quirk 8: the flagged at once, the deleted with the weekly full pull."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com", "cy@example.com"))
    pull()
    mail.sandbox.load("members", [{"id": "bo@example.com", "status": "archived"}])
    mail.sandbox.delete("members", ["cy@example.com"])
    pull()
    assert {"ann@example.com", "cy@example.com"} == _profiles(store).keys()

    clock.advance(timedelta(days=7))
    pull()
    assert {"ann@example.com"} == _profiles(store).keys()


def test_an_address_changed_there_is_one_person(mail: Any, store: Any, pull: Any) -> None:
    """The contact's id stays."""
    mail.sandbox.load("members", people("old@example.com"))
    pull()
    mail.sandbox.load("members", [{"id": "old@example.com", "email": "new@example.com"}])
    pull()

    assert {"new@example.com"} == _profiles(store).keys()


def test_tags_make_no_people(mail: Any, store: Any, pull: Any) -> None:
    """They are a table to look things up in."""
    pull()

    assert {} == _profiles(store)
    assert [("welcome-series",)] == [tuple(row) for row in store.conn.execute("SELECT tag FROM mail__tags")]


def test_a_pull_that_breaks_goes_on_where_it_was(mail: Any, store: Any, pull: Any) -> None:
    """The pages before the fault are stored; the next pull asks for the rest, then for all that is two hours old by now."""
    mail.sandbox.load("members", many(350))
    mail.served.faults = lambda method, path, number: Fault(404, {}, b"{}") if number == 3 else None
    broken = pull().streams[0]
    mail.served.faults = None
    rest = pull().streams[0]

    assert (200, False) == (broken.records, broken.complete)
    assert (150 + 350, 0, True) == (rest.records, rest.deleted, rest.complete)
    assert 350 == store.conn.execute("SELECT count(*) FROM mail__contacts WHERE deleted_at IS NULL").fetchone()[0]
