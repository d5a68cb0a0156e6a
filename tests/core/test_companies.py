"""
Companies as members of a made-up CRM's list: planned, sent, held, followed and taken out like people, and taken for nobody.

Companies and people have the same numbers here, at the vendor and in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap
from support.audiences import AUDIENCES, _Base
from support.killed import killed_at
from support.story import Story, held, ids, skips

from core.config.model import Config
from core.contract import Audience, Deletions, Kind, Merge, Op, Page, Stream, Verdict
from core.errors import ConfigError
from core.hub import Hub
from core.live import orphans, retire
from core.pushing import company_members, reach
from core.store.person_key import PersonKey
from core.store.sweep import sweep
from core.store.traces import gather

LIST = "Accounts"


class FirmList(_Base):
    """Holds companies, which are the records of this connection's own stream."""

    kind = "firms"
    of = "company"
    ids_from = "companies"
    find = Audience.find


@dataclass
class Firms(Story):
    """A world with companies in it."""

    firms: dict[str, dict[str, Any]] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.segments = {"big": "company.employees >= 50"}
        self.add_sync("accounts", "big", audience_kind="firms", audience_name=LIST)

    def config(self) -> Config:
        config = super().config()
        return replace(config, segments={n: replace(s, of="company") if n == "big" else s for n, s in config.segments.items()})

    def hub(self) -> Hub:
        hub = super().hub()
        module = hub.connector("crm").module
        streams = [*module.streams(None), self._stream()]
        module.streams = lambda settings: streams
        module.AUDIENCES = {**AUDIENCES, "firms": FirmList}
        return hub

    def _stream(self) -> Stream:
        def pull(api: Any, cursor: Any, resume: str | None) -> Iterator[Page]:
            yield Page(
                [{"id": id_, **firm} for id_, firm in self.firms.items()],
                merged=[Merge(loser, winner) for loser, winner in self.merged.items()],
            )

        return Stream(
            "companies", Kind.COMPANY, pull=pull, key="id", identifiers={"company_domain": "domain", "company_id": "id"},
            fields={"name": "name", "domain": "domain", "employees": "employees"}, deletions=Deletions.ABSENCE,
            full_every=timedelta(0),
        )  # fmt: skip

    def firm(self, *numbers: int, employees: int = 100, **more: Any) -> None:
        for n in numbers:
            before = self.firms.get(str(n), {"name": f"Firm {n}", "domain": f"f{n}.example.com"})
            self.firms[str(n)] = {**before, "employees": employees, **more}

    def merge(self, loser: int, winner: int) -> None:
        """As a vendor does it: the loser is gone, from the lists too, and the winner answers to both domains."""
        lost = self.firms.pop(str(loser))
        self.merged[str(loser)] = str(winner)
        self.firms[str(winner)]["domain"] = [self.firms[str(winner)]["domain"], lost["domain"]]
        for members in self.vendor.audiences.values():
            members.pop(str(loser), None)

    def rows(self) -> dict[str, tuple[int, str]]:
        """Return company and state of each row of the ledger by its object."""
        with self.store() as store:
            return {
                remote: (company, state)
                for remote, company, state in store.conn.execute("SELECT remote_id, profile_id, state FROM ledger")
            }

    def in_step(self) -> bool:
        """Whether what is there is what the ledger has as ours, and a further sync sends nothing."""
        before, writes = self.there(LIST), self.vendor.writes
        report = self.sync()
        ours = {remote for remote, (_, state) in self.rows().items() if state == "ours"}
        return (before, writes, before, "done") == (self.there(LIST), self.vendor.writes, ours, str(report.status))


@pytest.fixture
def story(tmp_path: Path) -> Firms:
    """Three big firms and a small one, and three people."""
    story = Firms(tmp_path)
    story.people(1, 2, 3)
    story.firm(1, 2, 3)
    story.firm(4, employees=5)
    return story


@pytest.fixture
def listed(story: Firms) -> Firms:
    """The same when the first sync is over."""
    story.sync()
    assert ids(1, 2, 3) == story.there(LIST)
    story.vendor.log.clear()
    return story


def test_companies_are_put_in_once_and_taken_out_when_they_leave(listed: Firms) -> None:
    assert listed.in_step()
    listed.firm(2, employees=1)
    listed.firm(4)
    listed.sync()
    assert [(LIST, "add", "4"), (LIST, "remove", "2")] == sorted(listed.vendor.log)
    assert listed.in_step()


def test_no_number_of_ours_is_sent_for_one_of_theirs(story: Firms) -> None:
    """A company that is known here by its people alone is at no destination, whoever has its number there."""
    story.segments["big"] = "exists(company.domain)"
    story.firms = {"7": {"name": "Seven", "domain": "f7.example.com", "employees": 1}}
    with story.hub() as hub, story.store() as store:
        hub.register(store)
    story.sync()
    with story.store() as store, store.atomic() as conn:
        conn.execute("INSERT INTO companies (live, domain, changed_at) VALUES (1, 'f8.example.com', 0)")
        (stranger,) = conn.execute("SELECT max(id) FROM companies").fetchone()
    report = story.sync()
    assert ids(7) == story.there(LIST)
    assert {"no_identifier": 1} == skips(report)
    assert str(stranger) not in story.vendor.moved()


def test_two_records_of_one_company_are_a_duplicate(story: Firms) -> None:
    story.firm(5, 6, domain="same.example.com")
    assert {"duplicate": 1} == skips(story.sync())
    assert ids(1, 2, 3) == story.there(LIST)


def test_many_removals_are_held(listed: Firms) -> None:
    """Companies are counted as people are."""
    listed.firm(*range(5, 15))
    listed.sync()
    listed.firm(*range(5, 15), employees=1)
    assert {"accounts": ["removals"]} == held(listed.sync())
    assert ids(1, 2, 3, *range(5, 15)) == listed.there(LIST)


def test_all_is_held_while_the_records_cannot_be_read(listed: Firms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though no word of the segment rests on them: they tell which object a company is."""
    listed.segments["big"] = 'any_user(lifecycle_stage == "vip")'
    listed.people(1, 2, stage="lead")
    whole = Firms._stream

    def fails(api: Any, cursor: Any, resume: str | None) -> Iterator[Page]:
        yield Page([])
        raise ValueError("broken off")

    monkeypatch.setattr(Firms, "_stream", lambda self: replace(whole(self), pull=fails))
    assert {"accounts": ["source"]} == held(listed.sync())
    assert ids(1, 2, 3) == listed.there(LIST)


@pytest.mark.parametrize(("loser", "winner"), [(2, 1), (1, 4)])
def test_a_merged_company_stays_as_what_it_was_merged_into(listed: Firms, loser: int, winner: int) -> None:
    """Whether that was on the list or not; and it leaves as that."""
    listed.merge(loser, winner)
    listed.firm(winner)
    listed.sync()
    left = ids(*({1, 2, 3, winner} - {loser}))
    assert left == listed.there(LIST)
    assert [] == listed.vendor.moved("remove")
    assert listed.in_step()
    listed.firm(winner, employees=1)
    listed.sync()
    assert left - ids(winner) == listed.there(LIST)
    assert listed.in_step()


@pytest.mark.parametrize("other", [1, 4])
def test_a_record_that_goes_to_another_company_is_followed(listed: Firms, other: int) -> None:
    """Joined by a domain and parted again, with nothing of either's own fields changed: a row is where its record is."""
    listed.firm(2, domain=f"f{other}.example.com")
    listed.firm(other, domain=f"f{other}.example.com")
    listed.sync()
    listed.firm(2, domain="f2.example.com")
    listed.sync()
    assert ids(1, 2, 3, other) == listed.there(LIST)
    assert listed.in_step()
    listed.firm(2, employees=1)
    listed.sync()
    assert ids(1, 2, 3, other) - ids(2) == listed.there(LIST)
    assert listed.in_step()


def test_who_was_joined_and_parted_in_no_field_is_taken_out(listed: Firms) -> None:
    """The company that the record was joined to has not changed at all: it is by the records that it is seen."""
    listed.firm(1, 2, name="Same")
    listed.sync()
    listed.firm(2, domain="f1.example.com")
    listed.sync()
    listed.firm(2, domain="f2.example.com", employees=1)
    listed.sync()
    assert ids(1, 3) == listed.there(LIST)
    assert listed.in_step()


def test_who_was_parted_off_is_taken_out_and_the_other_put_in(listed: Firms) -> None:
    """What was put in is a record: the company that it is of decides about it."""
    listed.firm(5, domain="f2.example.com", employees=100)
    listed.sync()
    listed.firm(2, domain="new.example.com", employees=1)
    listed.sync()
    assert ids(1, 3, 5) == listed.there(LIST)
    assert listed.in_step()


def test_a_record_made_anew_is_listed_again(listed: Firms) -> None:
    lost = listed.firms.pop("2")
    listed.vendor.audiences["a1"].pop("2")
    listed.firms["22"] = lost
    listed.sync()
    assert ids(1, 3, 22) == listed.there(LIST)
    assert listed.in_step()


@pytest.mark.parametrize("baseline", ["ignore", "adopt", "replace"])
def test_who_was_there_before_us(story: Firms, baseline: str) -> None:
    """Left alone, made ours, or held until somebody says that they may go."""
    story.syncs["accounts"] = replace(story.syncs["accounts"], baseline=baseline)
    story.vendor.make(LIST, ["1", "4", "stranger"])
    story.sync()
    assert ids(1, 2, 3, 4) | {"stranger"} == story.there(LIST)
    story.firm(1, employees=1)
    story.sync()
    assert (ids(1) <= story.there(LIST)) == (baseline != "adopt")
    assert {"stranger", "4"} <= story.there(LIST)


def test_a_kill_leaves_nobody_behind(story: Firms) -> None:
    """What was never answered is sent again where it is wanted, and taken out where it is not."""
    with killed_at(story.vendor, "after apply"):
        story.sync()
    story.pass_time(timedelta(hours=1))
    story.firm(2, employees=1)
    story.merge(1, 4)
    story.firm(4)
    story.sync()
    story.sync()
    assert ids(3, 4) == story.there(LIST)
    assert story.in_step()


@pytest.mark.parametrize(("verdict", "number"), [(Verdict.NOT_FOUND, 2), (Verdict.REJECTED, 5)])
def test_who_is_refused_waits_until_its_record_changes(story: Firms, verdict: Verdict, number: int) -> None:
    """No person of that number is asked whether anything changed, if there is one."""
    story.firm(5)
    story.vendor.verdicts[str(number)] = verdict
    story.sync()
    story.sync()
    sizes = list(story.vendor.sizes)
    story.people(2, country="SE")
    story.sync()
    assert sizes == story.vendor.sizes
    del story.vendor.verdicts[str(number)]
    story.firm(number, name="Other")
    if verdict is Verdict.REJECTED:
        story.pass_time(timedelta(days=1))
    story.sync()
    assert ids(1, 2, 3, 5) == story.there(LIST)
    assert story.in_step()


def test_nobodys_no_keeps_a_company_off(story: Firms) -> None:
    """Not even that of somebody who has its number, and who is being forgotten."""
    story.sync()
    with story.store() as store, store.atomic() as conn:
        values = "('x', x'', 'begun', 1, ?)"
        numbers = BitMap(range(9)).serialize()
        conn.execute(f"INSERT INTO forgettings (name, subject, state, begun_at, profiles) VALUES {values}", (numbers,))
    story.firm(5)
    story.sync()
    assert ids(1, 2, 3, 5) == story.there(LIST)


def test_a_forgotten_person_takes_no_company_along(listed: Firms) -> None:
    """Of every table with numbers of members, with people of the same numbers and the same ids at the vendor."""
    tables = ("ledger", "audiences", "intent_members", "leaving", "holds", "member_sets", "membership_history")
    with listed.store() as store:
        before = {table: store.conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}
        people = [number for (number,) in store.conn.execute("SELECT id FROM profiles")]
        assert set(people) <= {company for company, _ in listed.rows().values()}, "or this shows nothing"
        for number in people:
            with store.atomic() as conn:
                traces = gather(conn, [number])
                assert not traces.remotes
                sweep(conn, traces, PersonKey(bytes(32)), now=1, companies=company_members.names_of(listed.config(), conn))
        after = {table: store.conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}
    assert before == after


def test_what_a_retired_sync_left_is_of_companies_still(listed: Firms) -> None:
    """Its members are no people, though no config says so any more; and it takes its own out."""
    del listed.syncs["accounts"]
    with listed.hub() as hub, listed.store() as store:
        assert "accounts" in company_members.names_of(listed.config(), store.conn)
        (row,) = orphans.chosen(store.conn, listed.config(), "accounts")
        (removal,) = retire.remove(hub, store, [row])
    assert (None, 0, set()) == (removal.error, removal.left, listed.there(LIST))


def test_one_person_cannot_be_sent_to_a_list_of_companies(story: Firms) -> None:
    """Else it would be the company of that number."""
    with pytest.raises(ConfigError, match="pushes companies"):
        story.sync(names=["accounts"], only="p1@example.com")
    assert set() == story.there(LIST)


def test_an_audience_of_people_does_not_become_one_of_companies(story: Firms) -> None:
    """Whatever a vendor answers to a name: the ledger's numbers would be those of others."""
    story.segments["vip"] = 'lifecycle_stage == "vip"'
    story.add_sync("vips", "vip", audience_kind="tag", audience_name=LIST)
    firms = story.syncs.pop("accounts")
    story.sync()
    del story.syncs["vips"]
    story.syncs["accounts"] = firms
    report = story.sync()
    assert "was filled with people" in str(report.syncs[0].error)
    assert ids(1, 2, 3) == story.there(LIST)
    assert [Op.ADD] * 3 == [op for _, op, _ in story.vendor.log]


def test_a_company_goes_by_a_key_that_is_nobodys_id() -> None:
    assert ["company:7"] == [*reach.keys_of(None, [7], reach.identifier_kind(FirmList(FirmList.Params()), "crm")).values()]
