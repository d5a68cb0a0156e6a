"""The audience: both modules, others' tags, one verdict a record whatever the status says, and who is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from zoho_rows import c, contact, l, lead

from core.contract import Change, Outcome, Person, Ref, Verdict
from core.errors import NotFoundError, RejectedError


def _adds(*refs: Ref) -> list[Change]:
    return [Change(ref) for ref in refs]


def _lead(number: int) -> Ref:
    return Ref(l(number), object="Leads")


def _said(outcomes: list[Outcome]) -> list[str]:
    return [str(outcome.verdict) for outcome in outcomes]


@pytest.fixture
def people(org: Callable[..., Any]) -> Callable[..., Any]:
    """`people(**switches)`: an organisation with contacts 1 to 4 and leads 11 to 13."""

    def make(settings: dict[str, Any] | None = None, **switches: Any) -> Any:
        api = org(settings, **switches)
        api.sandbox.load("people", [*(contact(n) for n in range(1, 5)), *(lead(n) for n in range(11, 14))])
        return api

    return make


def test_others_tags_are_left_alone(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 5: `over_write: false` is said in every call; true would take the others off."""
    api = people()
    api.sandbox.state.tags["Contacts"]["61"] = "Theirs"
    api.sandbox.state.records["Contacts"][c(1)].tags["61"] = None
    id_ = tag.create(api, "VIP", ())

    assert ["done"] == _said(tag.apply(api, id_, _adds(Ref(c(1))), []))
    assert {"Theirs": {"1"}, "VIP": {"1"}} == api.sandbox.audiences()
    assert ["done"] == _said(tag.apply(api, id_, [], [Ref(c(1))]))
    assert {"Theirs": {"1"}, "VIP": set()} == api.sandbox.audiences()
    assert [False] == [one["body"]["over_write"] for one in api.recorder.of("/add_tags")]


def test_over_write_would_take_the_others_off(people: Callable[..., Any]) -> None:
    """Quirk 5, the sandbox's side."""
    api = people()
    api.sandbox.state.tags["Contacts"]["61"] = "Theirs"
    api.sandbox.state.records["Contacts"][c(1)].tags["61"] = None
    api.post("/crm/v8/Contacts/actions/add_tags", json={"tags": [{"name": "VIP"}], "ids": [c(1)], "over_write": True})
    api.recorder.seen.clear()  # no request of the connector's

    assert frozenset() == api.sandbox.audiences()["Theirs"]


def test_leads_and_contacts_are_two_tags_of_one_name(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 19: each is made first, and each module has its own call; outcomes are in the order asked."""
    api = people()
    assert tag.lookup(api, "VIP") is None
    id_ = tag.create(api, "VIP", ())
    assert id_ == tag.lookup(api, "VIP") == tag.lookup(api, "vip")

    outcomes = tag.apply(api, id_, _adds(_lead(11), Ref(c(1)), _lead(12)), [Ref(c(2)), _lead(13)])

    assert [_lead(11), Ref(c(1)), _lead(12), Ref(c(2)), _lead(13)] == [outcome.ref for outcome in outcomes]
    assert {"done"} == set(_said(outcomes))
    assert {"1", "11", "12"} == api.sandbox.audiences()["VIP"]
    calls = {one["path"]: one["body"]["ids"] for end in ("add_tags", "remove_tags") for one in api.recorder.of(end)}
    assert {
        "/crm/v8/Leads/actions/add_tags": [l(11), l(12)],
        "/crm/v8/Contacts/actions/add_tags": [c(1)],
        "/crm/v8/Leads/actions/remove_tags": [l(13)],
        "/crm/v8/Contacts/actions/remove_tags": [c(2)],
    } == calls
    assert 2 == tag.cost(1, 1)


def test_five_hundred_ids_are_one_call(org: Callable[..., Any], tag: Any) -> None:
    api = org()
    api.sandbox.load("people", [contact(n) for n in range(1, 502)])
    id_ = tag.create(api, "VIP", ())

    assert {"done"} == set(_said(tag.apply(api, id_, _adds(*(Ref(c(n)) for n in range(1, 501))), [])))
    assert 500 == tag.max_batch
    assert 1 == len(api.recorder.of("/add_tags"))
    with pytest.raises(RejectedError):
        tag.apply(api, id_, _adds(*(Ref(c(n)) for n in range(1, 502))), [])
    api.recorder.seen.clear()


def test_a_tag_that_one_module_has_is_there_already(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 19: so its members are read first, and the other module's is made when a lead comes."""
    api = people()
    api.sandbox.state.tags["Contacts"]["61"] = "VIP"
    api.sandbox.state.records["Contacts"][c(1)].tags["61"] = None
    id_ = tag.lookup(api, "vip")

    assert "61//VIP" == id_
    assert [[Ref(c(1))]] == [page for page in tag.members(api, id_) if page]
    assert {"done"} == set(_said(tag.apply(api, id_, _adds(Ref(c(2)), _lead(11)), [])))
    assert {"done"} == set(_said(tag.apply(api, id_, _adds(_lead(12)), [_lead(11)])))
    assert ["VIP"] == list(api.sandbox.state.tags["Leads"].values())
    assert {"1", "2", "12"} == api.sandbox.audiences()["VIP"]
    assert {Ref(c(1)), Ref(c(2)), _lead(12)} == {ref for page in tag.members(api, id_) for ref in page}


def test_a_tag_that_only_leads_have_is_made_for_contacts_too(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 19: the call goes by the id of the contacts' tag, not by one of the leads'."""
    api = people()
    api.sandbox.state.tags["Leads"]["61"] = "VIP"
    id_ = tag.lookup(api, "VIP")

    assert "/61/VIP" == id_
    assert ["done"] == _said(tag.apply(api, id_, _adds(Ref(c(1))), []))
    (made,) = api.sandbox.state.tags["Contacts"]
    assert [[{"name": "VIP", "id": made}]] == [one["body"]["tags"] for one in api.recorder.of("/Contacts/actions/add_tags")]
    assert {"61": "VIP"} == api.sandbox.state.tags["Leads"]


def test_a_name_with_slashes_is_a_name(people: Callable[..., Any], tag: Any) -> None:
    api = people()
    id_ = tag.create(api, "a/b/c", ())

    tag.apply(api, id_, _adds(Ref(c(1)), _lead(11)), [])

    assert {"1", "11"} == api.sandbox.audiences()["a/b/c"]
    assert {c(1), l(11)} == {ref.remote_id for page in tag.members(api, id_) for ref in page}


@pytest.mark.parametrize(
    ("name", "wrong"), [("x" * 25, None), ("x" * 26, "25 characters"), ("", "empty"), (" x", "space"), ("a\nb", "control")]
)
def test_a_name_has_at_most_25_characters(tag: Any, name: str, wrong: str | None) -> None:
    said = tag.check_name(name)
    assert said is None if wrong is None else wrong in said


def test_creating_a_tag_that_came_up_meanwhile_takes_that(people: Callable[..., Any], tag: Any) -> None:
    """DUPLICATE_DATA names no id: the tags are listed again."""
    api = people()
    api.sandbox.state.tags["Leads"]["62"] = "vip"

    id_ = tag.create(api, "VIP", ())

    assert id_.endswith("/62/VIP")


def test_a_module_whose_tags_are_used_up_is_said(people: Callable[..., Any], tag: Any) -> None:
    api = people(tags_per_module=1)
    api.sandbox.state.tags["Contacts"]["61"] = "Theirs"

    with pytest.raises(RejectedError, match="used up") as raised:
        tag.create(api, "VIP", ())
    assert "LIMIT_EXCEEDED" == raised.value.code


@pytest.mark.parametrize("objects", [False, True])
def test_a_record_with_as_many_tags_as_it_may_is_reported_not_overwritten(
    people: Callable[..., Any], tag: Any, objects: bool
) -> None:
    """Quirk 11: SUCCESS with `not_added_tags` is none."""
    api = people(tags_per_record=1, tags_as_objects=objects)
    api.sandbox.state.tags["Contacts"]["61"] = "Theirs"
    api.sandbox.state.records["Contacts"][c(1)].tags["61"] = None
    id_ = tag.create(api, "VIP", ())

    first, second = tag.apply(api, id_, _adds(Ref(c(1)), Ref(c(2))), [])

    assert (Verdict.REJECTED, "the record has as many tags as it may") == (first.verdict, first.reason)
    assert Verdict.DONE is second.verdict
    assert {"1"} == api.sandbox.audiences()["Theirs"]


@pytest.mark.parametrize("status", [200, 207, 400])
def test_each_row_decides_for_itself(people: Callable[..., Any], tag: Any, status: int) -> None:
    """Quirk 21: whatever the status of a batch of which some failed."""
    api = people(rows_status=status)
    api.sandbox.locked.add(c(2))
    id_ = tag.create(api, "VIP", ())

    outcomes = tag.apply(api, id_, _adds(Ref(c(1)), Ref("999"), Ref(c(2))), [Ref("998"), Ref(c(3))])

    assert ["done", "not_found", "rejected", "noop", "done"] == _said(outcomes)
    assert "RECORD_LOCKED" == outcomes[2].reason


@pytest.mark.parametrize("is_error", [False, True])
def test_taking_off_a_tag_that_is_not_there_is_harmless(people: Callable[..., Any], tag: Any, is_error: bool) -> None:
    """Quirk 19: a success or an error of the row, no page says which."""
    api = people(absent_tag_is_error=is_error)
    id_ = tag.create(api, "VIP", ())

    assert _said(tag.apply(api, id_, [], [Ref(c(1))])) in (["done"], ["noop"])
    assert [] == api.sandbox.change_log


@pytest.mark.parametrize("objects", [False, True])
def test_adding_twice_is_adding_once(people: Callable[..., Any], tag: Any, objects: bool) -> None:
    api = people(tags_as_objects=objects)
    id_ = tag.create(api, "VIP", ())

    for _ in range(2):
        assert ["done"] == _said(tag.apply(api, id_, _adds(Ref(c(1))), []))
    assert 1 == len(api.sandbox.change_log)


def test_a_tag_deleted_there_is_gone(people: Callable[..., Any], tag: Any) -> None:
    """It is not made anew behind a person's back: the sync is held."""
    api = people()
    id_ = tag.create(api, "VIP", ())
    api.sandbox.state.tags["Contacts"].clear()

    with pytest.raises(NotFoundError):
        tag.apply(api, id_, _adds(Ref(c(1))), [])
    api.sandbox.state.tags["Leads"].clear()
    with pytest.raises(NotFoundError):
        next(tag.members(api, id_))
    assert {} == api.sandbox.audiences()


def test_a_renamed_tag_is_still_the_same(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 19: the id wins over the name."""
    api = people()
    id_ = tag.create(api, "VIP", ())
    (contacts,) = api.sandbox.state.tags["Contacts"]
    api.sandbox.state.tags["Contacts"][contacts] = "Very important"

    outcomes = tag.apply(api, id_, _adds(Ref(c(1))), [])

    assert {"1"} == api.sandbox.audiences()["Very important"]
    assert _said(outcomes) in (["done"], ["retry"])


def test_members_are_read_by_reading_everybody(org: Callable[..., Any], tag: Any) -> None:
    """Quirk 23: no query by tag is documented; leads say that they are."""
    api = org()
    api.sandbox.load("people", [contact(n) for n in range(1, 302)])
    api.sandbox.load("people", [lead(901)])
    id_ = tag.create(api, "VIP", ())
    tag.apply(api, id_, _adds(Ref(c(1)), Ref(c(301)), _lead(901)), [])

    assert {Ref(c(1)), Ref(c(301)), _lead(901)} == {ref for page in tag.members(api, id_) for ref in page}
    assert {"Modified_Time,Tag"} == {one["query"]["fields"] for one in api.recorder.of("/Contacts")}


# Who is who ----------------------------------------------------------------------------------------------------------


def test_contacts_come_before_leads(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 17: a lead counts where no contact has the address; two contacts are a duplicate."""
    api = people()
    api.sandbox.load("people", [contact(5, email="P11@example.com"), contact(6, email="p2@example.com")])

    found = tag.find(api, ["p1@example.com", "p2@example.com", "p11@example.com", "p12@example.com", "no@example.com"])

    assert {
        "p1@example.com": [Ref(c(1))],
        "p2@example.com": [Ref(c(2)), Ref(c(6))],
        "p11@example.com": [Ref(c(5))],
        "p12@example.com": [_lead(12)],
    } == found


def test_people_are_found_by_every_address_field(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 18: conditions nested in pairs, whatever their number."""
    api = people()
    others = ["a@example.com", "b@example.com", "c@example.com"]
    api.sandbox.load("people", [contact(7, additional_emails=others)])

    assert {address: [Ref(c(7))] for address in others} == tag.find(api, others)
    (asked, *_) = api.recorder.of("/coql")
    assert "where (((Email in (" in asked["body"]["select_query"]


def test_an_apostrophe_is_doubled(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 18."""
    api = people()
    api.sandbox.load("people", [contact(7, email="o'neil@example.com")])

    assert {"o'neil@example.com": [Ref(c(7))]} == tag.find(api, ["o'neil@example.com", "x') or ('1' = '1@example.com"])


def test_a_hundred_addresses_are_a_query(org: Callable[..., Any], tag: Any) -> None:
    """Quirk 18: one credit each, and what matches more than 200 times is paged."""
    api = org({"email_fields": []})
    api.sandbox.load("people", [contact(n, email=f"p{n % 130}@example.com") for n in range(1, 391)])

    found = tag.find(api, [f"p{n}@example.com" for n in range(130)])

    assert {3} == {len(refs) for refs in found.values()}
    queries = [one["body"]["select_query"] for one in api.recorder.of("/coql")]
    assert ["0, 200", "200, 200", "0, 200"] == [query.rpartition("limit ")[2] for query in queries]
    assert "where Email in (" in queries[0]


def test_converted_leads_are_not_found(org: Callable[..., Any], tag: Any) -> None:
    """Quirk 10: COQL lists them still."""
    api = org()
    api.sandbox.load("people", [lead(1)])
    api.sandbox.load("people", [contact(1, company_id="7")])
    api.sandbox.delete("people", ["1"])

    assert {} == tag.find(api, ["p1@example.com"])


@pytest.mark.parametrize("ignores_case", [True, False])
def test_case_in_coql(org: Callable[..., Any], tag: Any, ignores_case: bool) -> None:
    """Quirk 18, unconfirmed: where COQL minds case, who is written otherwise is only known from the store."""
    api = org(ignores_case=ignores_case)
    api.sandbox.load("people", [contact(1, email="Ann@Example.com")])

    assert ({"ann@example.com": [Ref(c(1))]} if ignores_case else {}) == tag.find(api, ["ann@example.com"])


def test_people_are_made_as_contacts_without_a_word_about_consent(people: Callable[..., Any], tag: Any) -> None:
    """Quirk 20: Last_Name is required, and no workflow runs."""
    api = people()
    outcomes = tag.create_people(
        api, [Person("new@example.com", {"first_name": "New", "last_name": "Person"}), Person("nameless@example.com")]
    )

    assert ["done", "done"] == _said(outcomes)
    (asked,) = api.recorder.of("/upsert")
    assert [
        {"Email": "new@example.com", "First_Name": "New", "Last_Name": "Person"},
        {"Email": "nameless@example.com", "Last_Name": "nameless"},
    ] == asked["body"]["data"]
    assert [] == asked["body"]["trigger"]
    assert [outcomes[0].ref] == tag.find(api, ["new@example.com"])["new@example.com"]


@pytest.mark.parametrize("status", [200, 207, 400])
def test_somebody_who_cannot_be_made_does_not_sink_the_others(people: Callable[..., Any], tag: Any, status: int) -> None:
    """Quirk 21: answers are told apart by their place."""
    api = people(rows_status=status)

    outcomes = tag.create_people(api, [Person("bad one@example.com"), Person("p1@example.com"), Person("new@example.com")])

    assert ["rejected", "noop", "done"] == _said(outcomes)
    assert ["INVALID_DATA", "there already", ""] == [outcome.reason for outcome in outcomes]
    assert Ref(c(1)) == outcomes[1].ref


def test_more_people_than_a_call_takes_are_made_in_several(people: Callable[..., Any], tag: Any) -> None:
    api = people()

    outcomes = tag.create_people(api, [Person(f"new{n}@example.com") for n in range(150)])

    assert {"done"} == set(_said(outcomes))
    assert [100, 50] == [len(one["body"]["data"]) for one in api.recorder.of("/upsert")]
