"""Static lists: found, made, filled, emptied, read; the verdict on each member."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from connectors.hubspot.lists import AUDIENCES, CompanyList, CompanyListParams, ListParams, StaticList
from core.contract import Change, Fault, ListChange, Op, Outcome, Person, Ref, Verdict
from core.errors import AuthError, NotFoundError, ProtocolError, RejectedError, TransientError

BASE = "https://api.hubapi.com"
LISTS = f"{BASE}/crm/lists/2026-03"


@pytest.fixture
def audience() -> StaticList:
    return StaticList(ListParams())


def _add(*ids: str) -> list[Change]:
    return [Change(Ref(each)) for each in ids]


def _verdicts(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    return [(outcome.ref.remote_id, outcome.verdict.value) for outcome in outcomes]


def _three(api: Any) -> None:
    api.sandbox.load("people", [{"id": str(n), "email": f"p{n}@example.com"} for n in (1, 2, 3)])


def test_a_list_is_made_once_and_found_by_its_name(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()

    assert audience.lookup(api, "Regulars: åäö & 50%") is None
    made = audience.create(api, "Regulars: åäö & 50%", [])

    assert audience.lookup(api, "Regulars: åäö & 50%") == made
    assert api.sandbox.state.lists[made].processing == "MANUAL"


@pytest.mark.parametrize("status", [409, 400])
def test_a_name_that_somebody_took_meanwhile_is_that_list(
    portal: Callable[..., Any], audience: StaticList, status: int
) -> None:
    """Quirk 17: the vendor refuses a second list of one name; the first is taken."""
    api = portal(name_conflict=status)
    theirs = api.sandbox.make_list("VIP").id

    assert audience.create(api, "VIP", []) == theirs
    assert len(api.sandbox.state.lists) == 1


def test_a_refusal_to_make_a_list_that_is_no_conflict_stays_one(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList
) -> None:
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.post(LISTS).respond(400, json={"category": "VALIDATION_ERROR"})
    respx_mock.get(f"{LISTS}/object-type-id/0-1/name/VIP").respond(404, json={})

    with pytest.raises(RejectedError):
        audience.create(api, "VIP", [])


def test_an_active_list_is_refused_by_name(portal: Callable[..., Any], audience: StaticList) -> None:
    """Quirk 14: its members follow a filter; writing them is an error at the vendor."""
    api = portal()
    api.sandbox.make_list("Follows a filter", "DYNAMIC")

    with pytest.raises(RejectedError, match="active"):
        audience.lookup(api, "Follows a filter")
    assert audience.lookup(api, "Other") is None


def test_a_snapshot_list_is_taken(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()

    assert api.sandbox.make_list("Snap", "SNAPSHOT").id == audience.lookup(api, "Snap")


def test_a_renamed_list_goes_on_by_its_id(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()
    _three(api)
    id_ = audience.create(api, "Before", [])
    api.sandbox.state.lists[id_].name = "After"

    assert _verdicts(audience.apply(api, id_, _add("1"), [])) == [("1", "done")]
    assert api.sandbox.audiences() == {"After": frozenset({"1"})}


@pytest.mark.parametrize("name", ["", "  ", " padded", "a/b", "a\\b", "line\nbreak"])
def test_names_that_cannot_be_looked_up_are_refused(audience: StaticList, name: str) -> None:
    assert audience.check_name(name)


@pytest.mark.parametrize("name", ["Lifecycle: at_risk", "50 % & more?", "Åre #1"])
def test_other_names_are_fine(audience: StaticList, name: str) -> None:
    assert audience.check_name(name) is None


def test_adds_and_removes_go_in_one_call(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()
    _three(api)
    id_ = api.sandbox.make_list("VIP", members=["3"]).id

    outcomes = audience.apply(api, id_, _add("1", "2"), [Ref("3")])

    assert _verdicts(outcomes) == [("1", "done"), ("2", "done"), ("3", "done")]
    assert api.sandbox.audiences() == {"VIP": frozenset({"1", "2"})}
    assert api.sandbox.writes == {"PUT /crm/lists/2026-03/{list}/memberships/add-and-remove": 1}
    log = [ListChange("VIP", "add", "1"), ListChange("VIP", "add", "2"), ListChange("VIP", "remove", "3")]
    assert log == api.sandbox.change_log


def test_the_body_holds_record_ids_as_text(fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList) -> None:
    api = fake_api("hubspot", {"token": "pat-x"})
    answer = {"recordsIdsAdded": ["151"], "recordIdsRemoved": ["9"], "recordIdsMissing": []}
    route = respx_mock.put(f"{LISTS}/77/memberships/add-and-remove").respond(json=answer)

    audience.apply(api, "77", _add("151"), [Ref("9")])

    assert json.loads(route.calls.last.request.content) == {"recordIdsToAdd": ["151"], "recordIdsToRemove": ["9"]}


@pytest.mark.parametrize(
    ("op", "answer", "verdict"),
    [
        (Op.ADD, {"recordsIdsAdded": ["1"]}, Verdict.DONE),
        (Op.ADD, {"recordIdsAdded": ["1"]}, Verdict.DONE),
        (Op.ADD, {"recordsIdsAdded": [1]}, Verdict.DONE),
        (Op.ADD, {"recordsIdsAdded": [], "recordIdsMissing": ["1"]}, Verdict.NOT_FOUND),
        (Op.ADD, {"recordsIdsAdded": [], "recordIdsMissing": []}, Verdict.NOOP),
        (Op.ADD, {"recordsIdsAdded": [], "recordIdsRemoved": ["1"]}, Verdict.NOOP),
        (Op.REMOVE, {"recordIdsRemoved": ["1"]}, Verdict.DONE),
        (Op.REMOVE, {"recordIdsRemoved": [], "recordIdsMissing": ["1"]}, Verdict.NOOP),
        (Op.REMOVE, {"recordIdsRemoved": [], "recordIdsMissing": []}, Verdict.NOOP),
    ],
    ids=["odd key", "even key", "numbers", "missing", "was there", "other way", "removed", "no such contact", "was off"],
)
def test_the_verdict_says_no_more_than_the_answer(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList, op: Op, answer: dict[str, Any], verdict: Verdict
) -> None:
    """Quirk 15: recordsIdsAdded, with its odd s; and who is in none of the lists was as wanted already: a noop, not done."""
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.put(f"{LISTS}/77/memberships/add-and-remove").respond(json=answer)
    adds, removes = (_add("1"), []) if op is Op.ADD else ([], [Ref("1")])

    assert [verdict] == [outcome.verdict for outcome in audience.apply(api, "77", adds, removes)]


@pytest.mark.parametrize("body", [{}, {"recordIdsMissing": []}, [], None, {"recordsIdsAdded": None}])
def test_an_answer_without_the_lists_confirms_nothing(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList, body: Any
) -> None:
    """A 200 that says nothing about the members is not taken for success."""
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.put(f"{LISTS}/77/memberships/add-and-remove").respond(json=body)

    with pytest.raises(ProtocolError):
        audience.apply(api, "77", _add("1"), [])


@pytest.mark.parametrize("key", ["recordsIdsAdded", "recordIdsRemoved"])
def test_an_answer_about_others_tells_nothing_of_ours(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList, key: str
) -> None:
    """Quirk 15: an answer given before, to another batch. Taken for ours, it would say that ours were there already."""
    api = fake_api("hubspot", {"token": "pat-x"})
    answer = {"recordsIdsAdded": [], "recordIdsRemoved": [], "recordIdsMissing": [], key: ["7", "8"]}
    respx_mock.put(f"{LISTS}/77/memberships/add-and-remove").respond(json=answer)

    with pytest.raises(TransientError) as raised:
        audience.apply(api, "77", _add("1"), [Ref("2")])
    assert raised.value.maybe_acted


def test_an_answer_about_another_list_binds_nothing(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList
) -> None:
    """Taken for ours, two syncs would share a list."""
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.post(LISTS).respond(json={"list": {"listId": "5", "name": "Churned", "processingType": "MANUAL"}})

    with pytest.raises(TransientError):
        audience.create(api, "VIP", [])


def test_ids_that_the_portal_does_not_have_are_not_found(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()
    _three(api)
    id_ = api.sandbox.make_list("VIP").id

    outcomes = audience.apply(api, id_, _add("1", "404404"), [Ref("505505")])

    assert _verdicts(outcomes) == [("1", "done"), ("404404", "not_found"), ("505505", "noop")]


def test_pushing_twice_is_pushing_once(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()
    _three(api)
    id_ = api.sandbox.make_list("VIP", members=["3"]).id

    audience.apply(api, id_, _add("1"), [Ref("3")])
    again = audience.apply(api, id_, _add("1"), [Ref("3")])

    assert _verdicts(again) == [("1", "noop"), ("3", "noop")]
    assert len(api.sandbox.change_log) == 2


def test_a_batch_that_is_too_big_is_refused_and_half_of_it_is_not(portal: Callable[..., Any], audience: StaticList) -> None:
    """Quirk 16: no limit is documented; what the vendor refuses, the core halves, so nothing may have happened."""
    api = portal(membership_cap=2)
    _three(api)
    id_ = api.sandbox.make_list("VIP").id

    with pytest.raises(RejectedError):
        audience.apply(api, id_, _add("1", "2", "3"), [])
    assert api.sandbox.change_log == []
    assert _verdicts(audience.apply(api, id_, _add("1", "2"), [])) == [("1", "done"), ("2", "done")]


def test_a_sync_may_say_how_many_go_in_one_request() -> None:
    assert StaticList(ListParams()).max_batch == 1_000
    smaller = StaticList(ListParams(chunk=50))
    assert (smaller.max_batch, smaller.cost(120, 10)) == (50, 3)
    with pytest.raises(ValueError, match="chunk"):
        ListParams(chunk=0)


def test_a_list_that_is_gone_is_not_found(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()

    with pytest.raises(NotFoundError):
        audience.apply(api, "123", _add("1"), [])


def test_a_change_whose_answer_was_lost_is_not_sent_again_unasked(portal: Callable[..., Any], audience: StaticList) -> None:
    """
    The second answer would call everybody "already there", and a noop makes nobody ours: they would never be removed again.
    """
    api = portal()
    _three(api)
    id_ = api.sandbox.make_list("VIP").id
    api.served.faults = lambda _method, _path, _number: Fault(503, {}, b"{}", act=True)

    with pytest.raises(TransientError) as caught:
        audience.apply(api, id_, _add("1"), [])

    assert caught.value.maybe_acted
    assert sum(api.sandbox.writes.values()) == 1


def test_members_are_read_page_by_page(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()
    id_ = api.sandbox.make_list("VIP", members=[str(n) for n in range(1, 601)]).id

    pages = list(audience.members(api, id_))

    assert [len(page) for page in pages] == [250, 250, 100]
    assert [ref.remote_id for page in pages for ref in page] == [str(n) for n in range(1, 601)]


def test_people_are_found_by_any_of_their_addresses_in_any_case(portal: Callable[..., Any], audience: StaticList) -> None:
    """Quirks 6, 10: some are unknown, so the answer is a 207; and whoever is asked for by a second address answers to it."""
    api = portal(secondary_emails=True)
    api.sandbox.load(
        "people",
        [
            {"id": "1", "email": "Ann@Example.com"},
            {"id": "2", "email": "bo@example.com", "additional_emails": ["b.o@example.com"]},
        ],
    )

    found = audience.find(api, ["ann@example.com", "b.o@example.com", "nobody@example.com"])

    assert found == {"ann@example.com": [Ref("1")], "b.o@example.com": [Ref("2")]}


def test_a_second_address_that_the_vendor_does_not_resolve_is_merely_unknown(
    portal: Callable[..., Any], audience: StaticList
) -> None:
    """Quirk 10, the other possibility; such people are found through the contacts stream, which has all addresses."""
    api = portal()
    api.sandbox.load("people", [{"id": "2", "email": "bo@example.com", "additional_emails": ["b.o@example.com"]}])

    assert audience.find(api, ["b.o@example.com"]) == {}
    assert AUDIENCES["list"].ids_from == "contacts"


def test_more_people_than_a_batch_takes_are_asked_for_in_several(portal: Callable[..., Any], audience: StaticList) -> None:
    """activepieces#9716: more than 100 inputs are a 400."""
    api = portal()
    api.sandbox.load("people", [{"id": str(n), "email": f"p{n}@example.com"} for n in range(1, 251)])

    found = audience.find(api, [f"p{n}@example.com" for n in range(1, 251)])

    assert {key: [Ref(key[1:].split("@")[0])] for key in found} == found
    assert len(found) == 250
    assert api.sandbox.requests["POST /crm/objects/2026-03/{type}/batch/read"] == 3


def test_a_207_with_another_error_than_not_found_is_no_answer(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList
) -> None:
    """Quirk 6 (hubspot-api-php#619): else a person whom the vendor failed to read would pass for unknown."""
    api = fake_api("hubspot", {"token": "pat-x"})
    body = {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [{"category": "INTERNAL_ERROR"}]}
    respx_mock.post(f"{BASE}/crm/objects/2026-03/contacts/batch/read").respond(207, json=body)

    with pytest.raises(ProtocolError, match="INTERNAL_ERROR"):
        audience.find(api, ["ann@example.com"])


def test_people_are_created_only_with_what_is_meant(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal()
    people = [
        Person("ann@example.com", {"first_name": "Ann", "last_name": "Berg", "profile_id": 7}),
        Person("not an address", {}),
        Person("ANN@example.com", {}),
    ]

    outcomes = audience.create_people(api, people)

    (made,) = api.sandbox.state.objects["contacts"].values()
    assert [outcome.verdict for outcome in outcomes] == [Verdict.DONE, Verdict.REJECTED, Verdict.DONE]
    assert "invalid" in outcomes[1].message
    assert outcomes[0].ref == Ref(made.id)
    assert outcomes[1].reason == "VALIDATION_ERROR"
    assert made.properties["email"] in ("ann@example.com", "ANN@example.com")


def test_the_body_of_a_creation_names_no_consent(fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList) -> None:
    """No opt-in, no subscription, no marketing status: only the address and the name."""
    api = fake_api("hubspot", {"token": "pat-x"})
    answer = {"status": "COMPLETE", "results": [{"id": "9", "properties": {"email": "ann@example.com"}, "new": True}]}
    route = respx_mock.post(f"{BASE}/crm/objects/2026-03/contacts/batch/upsert").respond(json=answer)

    outcomes = audience.create_people(api, [Person("ann@example.com", {"first_name": "Ann", "last_name": None, "x": 1})])

    assert outcomes == [Outcome(Ref("9"), Verdict.DONE)]
    assert json.loads(route.calls.last.request.content) == {
        "inputs": [
            {
                "idProperty": "email",
                "id": "ann@example.com",
                "objectWriteTraceId": "0",
                "properties": {"email": "ann@example.com", "firstname": "Ann"},
            }
        ]
    }


def test_somebody_whom_the_answer_leaves_out_is_asked_for_again(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList
) -> None:
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.post(f"{BASE}/crm/objects/2026-03/contacts/batch/upsert").respond(json={"results": []})

    assert [outcome.verdict for outcome in audience.create_people(api, [Person("ann@example.com")])] == [Verdict.RETRY]


@pytest.mark.parametrize("status", [400, 207])
def test_a_batch_refused_whole_is_halved_until_the_culprit_stands_alone(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList, status: int
) -> None:
    """A 400 for one bad address in a hundred, or a 207 whose error names nobody: the others are made all the same."""
    api = fake_api("hubspot", {"token": "pat-x"})

    def answer(request: httpx.Request) -> httpx.Response:
        ids = [each["id"] for each in json.loads(request.content)["inputs"]]
        error = {"status": "error", "category": "VALIDATION_ERROR", "message": "something"}
        if "bad" in ids:
            return httpx.Response(status, json=error if status == 400 else {"results": [], "errors": [error]})
        return httpx.Response(200, json={"results": [{"id": "1" + each[1], "properties": {"email": each}} for each in ids]})

    respx_mock.post(f"{BASE}/crm/objects/2026-03/contacts/batch/upsert").mock(side_effect=answer)

    outcomes = audience.create_people(api, [Person(key) for key in ("p1@example.com", "bad", "p3@example.com")])

    assert _verdicts(outcomes) == [("11", "done"), ("bad", "rejected"), ("13", "done")]
    assert outcomes[1].reason


def test_no_request_of_ours_touches_a_subscription(portal: Callable[..., Any], audience: StaticList) -> None:
    """Leaving the list changes the list and nothing else; the contact is as it was."""
    api = portal()
    _three(api)
    id_ = api.sandbox.make_list("VIP", members=["1"]).id
    before = dict(api.sandbox.state.objects["contacts"]["1"].properties)

    audience.apply(api, id_, [], [Ref("1")])

    assert before == api.sandbox.state.objects["contacts"]["1"].properties
    assert set(api.sandbox.requests) == {"PUT /crm/lists/2026-03/{list}/memberships/add-and-remove"}


def test_without_the_scope_to_write_the_error_names_it(portal: Callable[..., Any], audience: StaticList) -> None:
    api = portal(scopes={"crm.lists.read"})

    with pytest.raises(AuthError, match=r"crm\.lists\.write"):
        audience.create(api, "VIP", [])


def test_a_page_of_members_that_comes_twice_ends_the_reading(
    fake_api: Callable[..., Any], respx_mock: Any, audience: StaticList
) -> None:
    api = fake_api("hubspot", {"token": "pat-x"})
    page = {"results": [{"recordId": "1"}], "paging": {"next": {"after": "2"}}}
    respx_mock.get(f"{LISTS}/77/memberships").side_effect = lambda _request: httpx.Response(200, json=page)

    with pytest.raises(ProtocolError, match="same page token"):
        list(audience.members(api, "77"))


@pytest.fixture
def firms() -> CompanyList:
    return CompanyList(CompanyListParams(chunk=2))


def test_a_list_of_companies_holds_companies_alone(portal: Callable[..., Any], firms: CompanyList) -> None:
    """Quirk 27: an id that is a contact's, and no company's, is missing; one that is both is the company here."""
    api = portal()
    _three(api)
    api.sandbox.load("companies", [{"id": "1", "name": "One"}, {"id": "900", "name": "Nordic"}])
    id_ = firms.create(api, "Accounts", [])

    outcomes = firms.apply(api, id_, _add("1", "900", "2"), [Ref("3")])

    assert _verdicts(outcomes) == [("1", "done"), ("900", "done"), ("2", "not_found"), ("3", "noop")]
    assert ["", "", "no such company", "no such company"] == [outcome.reason for outcome in outcomes]
    assert [["1", "900"]] == [[ref.remote_id for ref in page] for page in firms.members(api, id_)]
    assert "0-2" == api.get(f"/crm/lists/2026-03/{id_}")["list"]["objectTypeId"]
    assert 2 == firms.max_batch


def test_a_name_is_one_lists_whatever_it_holds(portal: Callable[..., Any], firms: CompanyList, audience: StaticList) -> None:
    """Quirk 27: a list of contacts is not found as one of companies, and its name is not to be had."""
    api = portal()
    contacts = audience.create(api, "VIP", [])

    assert firms.lookup(api, "VIP") is None
    with pytest.raises(RejectedError):
        firms.create(api, "VIP", [])
    assert contacts == audience.lookup(api, "VIP")
    assert {contacts} == api.sandbox.state.lists.keys()


def test_a_list_of_another_type_is_never_taken(fake_api: Callable[..., Any], respx_mock: Any, firms: CompanyList) -> None:
    """Whatever is answered: the ids of companies would be those of contacts there."""
    api = fake_api("hubspot", {"token": "pat-x"})
    found = {"listId": "7", "name": "VIP", "processingType": "MANUAL", "objectTypeId": "0-1"}
    respx_mock.get(f"{LISTS}/object-type-id/0-2/name/VIP").respond(200, json={"list": found})
    respx_mock.post(LISTS).respond(200, json={"list": found})

    with pytest.raises(ProtocolError, match="another type"):
        firms.lookup(api, "VIP")
    with pytest.raises(TransientError):
        firms.create(api, "VIP", [])


def test_the_vendor_refuses_a_list_of_what_no_list_holds(portal: Callable[..., Any]) -> None:
    api = portal()
    with pytest.raises(RejectedError):
        api.post("/crm/lists/2026-03", json={"name": "Deals", "objectTypeId": "0-99", "processingType": "MANUAL"})


def test_companies_that_are_deleted_or_merged_leave_their_lists(portal: Callable[..., Any]) -> None:
    """And a contact of the same id stays on theirs."""
    api = portal()
    _three(api)
    api.sandbox.load("companies", [{"id": str(n), "name": f"Firm {n}"} for n in (1, 2, 3)])
    api.sandbox.make_list("People", members=["1", "2"])
    api.sandbox.make_list("Firms", members=["1", "2", "3"], of="companies")

    api.sandbox.delete("companies", ["1"])
    api.sandbox.merge("companies", "2", "3")

    assert {"People": {"1", "2"}, "Firms": {"3"}} == api.sandbox.audiences()
