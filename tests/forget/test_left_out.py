"""What a page has of forgotten people is left out of it, whichever way it is read and whatever kind of record it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.pulled import CONTACT, World, contact, stream

from core.contract import BadRecord, Category, Deletions, Kind, Merge, Page, Record, Row, Stream, Trust
from core.store.forgettings import begin, digests
from core.store.person_key import ensure_key
from core.store.sweep import sweep
from core.store.traces import gather

ANN = "ann@example.com"


class Sources(World):
    """A CRM, a survey tool and an analytics tool that all know Ann and Bo."""

    def __init__(self, path: Path) -> None:
        self.page: dict[str, Any] = {}
        self.contacts = [contact(1, ANN, user="u1"), contact(2, "bo@example.com", user="u2")]
        people = Stream(
            "contacts", Kind.PROFILE, pull=self._pull, key="id", deletions=Deletions.ABSENCE,
            identifiers={"contact_id": "id", "email": "email", "user_id": "user"}, fields={"email": "email"},
        )  # fmt: skip
        answers = stream(
            "replies", [
                {"id": "r1", "who": "Ann@Example.com ", "said": "yes"}, {"id": "r2", "who": "bo@example.com", "said": "no"},
                {"id": "r3", "who": None, "said": "nobody"},
            ], Kind.ANSWER, trust=Trust.CLAIM, identifiers={"email": "who"}, fields={"survey": "id", "text": "said"},
        )  # fmt: skip
        keyed = stream(
            "tickets", [{"id": "t1", "of": 1, "status": "open"}, {"id": "t2", "of": 2, "status": "open"}], Kind.TICKET,
            identifiers={"crm.contact_id": "of"}, fields={"status": "status"},
        )  # fmt: skip
        events = stream(
            "views", [{"id": f"v{n}", "name": "Viewed", "at": 1_700_000_000 + n, "user": f"u{n}"} for n in (1, 2)], Kind.EVENT,
            trust=Trust.CLAIM, identifiers={"user_id": "user"}, fields={"name": "name", "time": "at"},
        )  # fmt: skip
        rows = stream("both", [{"id": "b1", "mail": ANN}, {"id": "b2", "mail": "bo@example.com"}], rows=_rows,
                      identifiers={"email": "mail"})  # fmt: skip
        mapped = stream("mapped", [{"id": "x1", "mail": ANN, "deep": {"a": 1}}, {"id": "x2", "mail": "bo@example.com"}],
                        identifiers={"other_id": "id"}, fields={"email": "mail"})  # fmt: skip
        super().__init__(
            path, crm=(Category.CRM, [people, mapped]), survey=(Category.SURVEY, [answers]), help=(Category.SUPPORT, [keyed]),
            web=(Category.ANALYTICS, [events, rows]),
        )  # fmt: skip

    def _pull(self, api: object, cursor: object, resume: str | None) -> Iterator[Page]:
        yield Page(list(self.contacts), **self.page)

    def forget_ann(self) -> None:
        self.everything()
        ann = self.one("SELECT profile_id FROM identifiers WHERE kind = 'email' AND value = ?", ANN)
        with self.store.atomic() as conn:
            key = ensure_key(conn, self.store.path)
            traces = gather(conn, [ann])
            begin(conn, b"x", digests(conn, key, traces), traces.profiles, at=1)
            sweep(conn, traces, key, now=1)
        self.resolve()

    def left_out(self) -> dict[str, int]:
        """Pull all, and return how many records of each stream were left out."""
        self.later(hours=1)
        found = {}
        for name in self.connections:
            for one in self.pull(name, full=True).streams:
                assert one.error is None
                found[one.stream] = one.forgotten
        self.resolve()
        return found

    def told_of_ann(self) -> list[str]:
        """Where her address or user id is."""
        found = []
        for (table,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
            found += [table for row in self.rows(f'SELECT * FROM "{table}"') if ANN in repr(row).lower() or "'u1'" in repr(row)]
        return found


def _rows(record: Record) -> Iterator[Row]:
    yield Row(Kind.PROFILE, record["id"], {"email": record["mail"]})
    yield Row(Kind.CONSENT, record["id"], {"channel": "email", "state": "granted", "at": None})


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    made = Sources(tmp_path / "t.db")
    made.forget_ann()
    return made


def test_each_kind_of_record_is_left_out(sources: Sources) -> None:
    """A profile, an answer, a ticket by another tool's id, an event, a record of several rows, a mapped address."""
    assert {"contacts": 1, "mapped": 1, "replies": 1, "tickets": 1, "views": 1, "both": 1} == sources.left_out()
    assert [] == sources.told_of_ann()
    assert {"bo@example.com"} == {row[0] for row in sources.rows("SELECT email FROM profiles WHERE email IS NOT NULL")}


def test_a_page_that_is_read_by_column_is_filtered_as_well(sources: Sources) -> None:
    """Records that are alike take the fast way; theirs are out before."""
    sources.contacts += [contact(n, f"p{n}@example.com", user=f"v{n}") for n in range(10, 40)]
    assert 1 == sources.left_out()["contacts"]
    assert [] == sources.told_of_ann()
    assert [(31,)] == sources.rows("SELECT count(*) FROM crm__contacts WHERE deleted_at IS NULL")


def test_her_object_is_known_by_its_id_when_it_has_another_address(sources: Sources) -> None:
    """Somebody edits the contact; another contact with none of hers is stored."""
    sources.contacts = [contact(1, "ann.new@example.com"), contact(3, "ann.new@example.com")]
    assert 1 == sources.left_out()["contacts"]
    assert [("3",)] == sources.rows("SELECT key FROM crm__contacts WHERE deleted_at IS NULL")


def test_another_tools_object_of_the_same_number_is_not_hers(sources: Sources) -> None:
    """Contact 1 is hers at the CRM and nowhere else."""
    sources.connect("other", Category.CRM, [stream("contacts", [contact(1, "cy@example.com")], **CONTACT)])
    sources.left_out()
    assert [("1",)] == sources.rows("SELECT key FROM other__contacts")


def test_a_renamed_connection_brings_nobody_back(sources: Sources) -> None:
    """Its objects are known by vendor and account, not by what we call it."""
    sources.contacts = [contact(1)]
    sources.connectors["crm2"] = sources.connectors["crm"]
    sources.connections["crm2"] = replace(sources.connections.pop("crm"), name="crm2")
    sources.register()
    assert 1 == sources.left_out()["contacts"]


def test_merges_with_her_object_tell_nothing_of_her(sources: Sources) -> None:
    """Made one with hers, another is gone like hers; hers made one with another says nothing here."""
    sources.contacts = [contact(5, "eve@example.com"), contact(2, "bo@example.com", user="u2")]
    sources.left_out()
    sources.contacts = [contact(2, "bo@example.com", user="u2")]
    sources.page = {"merged": [Merge("5", "1"), Merge("1", "2")], "bad": [BadRecord("1", "broken"), BadRecord(ANN, "broken")]}
    assert 2 == sources.left_out()["contacts"]
    assert [] == sources.rows("SELECT * FROM merges")
    assert [] == sources.rows("SELECT * FROM dead_letters")
    assert [("2",)] == sources.rows("SELECT key FROM crm__contacts WHERE deleted_at IS NULL")
    assert [] == sources.told_of_ann()


def test_a_landing_table_that_no_stream_knows_any_more_is_swept(tmp_path: Path) -> None:
    """Left from a connection of another name."""
    made = Sources(tmp_path / "t.db")
    made.everything()
    with made.store.atomic() as conn:
        conn.execute("CREATE TABLE old__contacts AS SELECT * FROM crm__contacts")
    made.forget_ann()
    assert [] == made.told_of_ann()
    assert [(1,)] == made.rows("SELECT count(*) FROM old__contacts")
