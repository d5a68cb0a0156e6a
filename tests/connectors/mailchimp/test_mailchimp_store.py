"""Members through the core's pull and resolve: consent kept by person, archived people gone, a broken pull continued."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.connected import Connected
from support.members import people

from core.contract import Fault
from core.pulling.pull_report import StreamReport

SETTINGS = {"api_key": {"env": "MAILCHIMP_API_KEY"}, "list_id": "a6b5da1054"}


@pytest.fixture
def pull(mail: Any, store: Any, clock: Any) -> Callable[[], StreamReport]:
    """Pull and resolve once; an hour passes before each."""
    mine = Connected(store, clock, "mailchimp", SETTINGS, name="mail")

    def once() -> StreamReport:
        clock.advance(timedelta(hours=1))
        report = mine.pull(mail)
        mine.resolve()
        return report.streams[0]

    return once


def _people(store: Any) -> dict[str, tuple[str, int]]:
    rows = store.conn.execute(
        "SELECT p.email, c.state, p.live FROM consents c JOIN profiles p ON p.id = c.profile_id WHERE c.deleted_at IS NULL"
    )
    return {email: (state, live) for email, state, live in rows}


def test_consent_follows_the_person(mail: Any, store: Any, pull: Any) -> None:
    """An unsubscribe between two pulls is denied after the second, and only what changed is stored again."""
    mail.sandbox.load("members", people("Ann@Example.com", "bo@example.com", "cy@example.com"))
    assert (3, 3) == ((first := pull()).records, first.changed)
    mail.sandbox.load("members", [{"id": "ANN@example.com", "status": "unsubscribed"}])
    second = pull()

    assert 1 == second.changed
    assert {"ann@example.com": ("denied", 1), "bo@example.com": ("granted", 1), "cy@example.com": ("granted", 1)} == _people(
        store
    )


def test_archived_and_vanished_people_are_gone(mail: Any, store: Any, pull: Any, clock: Any) -> None:
    """The archived at once, the deleted with the weekly full pull; somebody un-archived is back."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com", "cy@example.com"))
    pull()
    clock.advance(timedelta(hours=1))
    mail.sandbox.load("members", [{"id": "bo@example.com", "status": "archived"}])
    mail.sandbox.delete("members", ["cy@example.com"])
    assert 1 == pull().deleted
    assert {"ann@example.com", "cy@example.com"} == _people(store).keys()

    clock.advance(timedelta(days=7))
    mail.sandbox.load("members", [{"id": "bo@example.com", "status": "unsubscribed"}])
    pull()
    assert {"ann@example.com": ("granted", 1), "bo@example.com": ("denied", 1)} == _people(store)


def test_an_address_changed_at_mailchimp_is_one_person(mail: Any, store: Any, pull: Any) -> None:
    """Quirk 5: until the old address vanishes, both records are the same profile."""
    mail.sandbox.load("members", people("old@example.com"))
    pull()
    mail.sandbox.load("members", [{"id": "old@example.com", "email": "new@example.com"}])
    pull()

    assert [(1,)] == [tuple(row) for row in store.conn.execute("SELECT count(DISTINCT profile_id) FROM mail__members")]


def test_a_pull_that_breaks_goes_on_where_it_was(mail: Any, store: Any, pull: Any, clock: Any) -> None:
    """The pages before the fault are stored; the next pull asks only for the rest and for what is new; nothing vanishes."""
    yesterday = clock() - timedelta(days=1)
    mail.sandbox.load("members", people(*(f"p{i:04}@example.com" for i in range(3499)), updated_at=yesterday))
    mail.sandbox.load("members", people("newest@example.com"))
    mail.served.faults = lambda method, path, number: Fault(404, {}, b"{}") if number == 3 else None
    broken = pull()
    assert (2000, False) == (broken.records, broken.complete)
    mail.served.faults = None
    rest = pull()

    assert (1500 + 1, 0, True) == (rest.records, rest.deleted, rest.complete)
    assert 3500 == store.conn.execute("SELECT count(*) FROM mail__members WHERE deleted_at IS NULL").fetchone()[0]
