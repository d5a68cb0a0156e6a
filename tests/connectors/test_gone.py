"""
Who is deleted or merged at a vendor, whichever way it shows that, is gone or one in the store, and followed in its audiences.

The measure is a store that was never there before: what its first pull brings is what is true at the vendor.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.place import Place, place
from support.suite import DESTINATIONS, SOURCES
from support.world import WHATS, load_everything

from core.contract import Deletions, Kind, Sandbox
from core.registry import load_connector
from core.store import Store

PEOPLE = 30
NO_LONGER = 3
"""How many of each sort are deleted."""
EVENTS_ALONE = {"amplitude", "google_analytics"}
"""Vendors that bring nothing but events, of which none is ever told deleted: what is asked for again is replaced."""
SOON = {"hubspot", "salesforce", "zoho_crm", "stripe", "mailchimp"}
"""Vendors that tell of a deletion, so that the next pull shows it; the others' show in the weekly one."""


def ids_of(what: str) -> list[str]:
    return [str(row["id"]) for row in load_everything.rows(what, people=PEOPLE)]


def deleted(sandbox: Sandbox, what: str, ids: list[str]) -> bool:
    """Delete at the vendor; False where it has no such thing."""
    try:
        sandbox.delete(what, ids)
    except (KeyError, NotImplementedError):
        return False
    return True


def live(rows: dict[str, dict[str, bool]]) -> dict[str, set[str]]:
    return {stream: {key for key, there in of.items() if there} for stream, of in rows.items()}


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in EVENTS_ALONE])
def test_what_is_deleted_at_a_source_leaves_a_tombstone(name: str, tmp_path: Path) -> None:
    """With the next pull where the vendor tells, within a week where it only shows by its absence; and nobody else is gone."""
    with place(tmp_path / "here", name, people=PEOPLE) as here:
        here.pull()
        before = here.rows()
        here.later(hours=2)
        whats = [what for what in WHATS if what != "events" and deleted(here.sandbox, what, ids_of(what)[:NO_LONGER])]
        if name == "mailchimp":  # it tells of who was archived, not of who was deleted
            archived = ids_of("members")[NO_LONGER : NO_LONGER + 2]
            here.sandbox.load("members", [{"id": id_, "status": "archived"} for id_ in archived])
        assert whats
        here.later(hours=2)
        here.pull()
        assert gone(before, here.rows()) or name not in SOON
        here.later(days=8)
        here.pull()
        after = here.rows()

        assert gone(before, after)
        assert live(here.afresh()) == live(after)
        assert all(before[stream].keys() <= after[stream].keys() for stream in before), "a tombstone is kept"
        _check_canonical(here, after)


def gone(before: dict[str, dict[str, bool]], after: dict[str, dict[str, bool]]) -> set[str]:
    """Return the streams that lost somebody."""
    return {stream for stream in before if live(before)[stream] - live(after)[stream]}


def _check_canonical(here: Place, after: dict[str, dict[str, bool]]) -> None:
    """Who has no record left is outside of every segment, and the canonical rows of what is gone are marked so."""
    with Store(here.folder / "tagalong.db") as store:
        for stream, rows in after.items():
            dead = {key for key, there in rows.items() if not there}
            records = store.conn.execute(
                "SELECT r.record_key, r.deleted_at IS NULL FROM profile_rows r JOIN streams s ON s.id = r.stream_id"
                " WHERE s.name = ?",
                (stream,),
            ).fetchall()
            assert not {str(key) for key, there in records if there} & dead
        orphans = store.conn.execute(
            "SELECT count(*) FROM profiles p WHERE p.live AND NOT EXISTS"
            " (SELECT 1 FROM subjects s WHERE s.profile_id = p.id AND s.live)"
        ).fetchone()[0]
    assert 0 == orphans


def merging() -> Iterator[tuple[str, str]]:
    """Yield the destinations whose sandbox can merge people whom an address names."""
    for name in DESTINATIONS:
        connector = load_connector(name)
        if type(connector.sandbox()).merge is Sandbox.merge:
            continue
        for kind, audience in connector.audiences.items():
            if audience.key_kind == "email" and audience.of == "person":
                yield name, kind


@pytest.mark.parametrize(("name", "kind"), list(merging()))
def test_a_merge_at_a_destination_is_followed(name: str, kind: str, tmp_path: Path) -> None:
    """The survivor stays, nothing is sent for it; and when it is not wanted any more it is the survivor that is taken out."""
    what = "people" if load_connector(name).manifest.category == "crm" else "members"
    with place(tmp_path / "here", name, kind=kind, people=PEOPLE) as here:
        people = _people(what)[:6]
        addresses = [row["email"].lower() for row in people]
        here.want(addresses)
        _done(here)
        assert 6 == len(here.there())

        here.later(hours=1)
        for loser, winner in ((0, 1), (3, 2)):  # the older one is lost, and the newer one
            here.sandbox.merge(what, str(people[loser]["id"]), str(people[winner]["id"]))
        survivors = here.there()
        assert 4 == len(survivors)
        here.sandbox.change_log.clear()
        for _ in range(2):
            _done(here)
        assert ([], survivors) == (here.sandbox.change_log, here.there())

        here.want(addresses[-1:], of=addresses)
        for _ in range(2):
            _done(here)
        assert 1 == len(here.there())
        moved = [(change.op, change.member) for change in here.sandbox.change_log]
        assert sorted(("remove", who) for who in survivors - here.there()) == sorted(moved), "each once, and nobody else"


def _people(what: str) -> list[dict[str, Any]]:
    rows = [dict(row) for row in load_everything.rows(what, people=PEOPLE) if row.get("email")]
    return [row for row in rows if row.get("status", "subscribed") == "subscribed"]


def _done(here: Place) -> None:
    here.later(minutes=30)
    report = here.sync()
    assert "done" == str(report.status), [(run.status, run.error, [plan.held for plan in run.plans]) for run in report.syncs]


@pytest.mark.parametrize("name", SOURCES)
def test_each_stream_says_how_its_deletions_show(name: str) -> None:
    """People are never `none`: somebody who is gone would stay in every segment for ever."""
    connector = load_connector(name)
    settings = connector.settings_model.model_construct(**{"start": date(2026, 1, 1), **connector.sandbox().settings()})
    streams = connector.streams(settings)

    assert not [s.name for s in streams.values() if s.kind is Kind.PROFILE and s.deletions is Deletions.NONE]
