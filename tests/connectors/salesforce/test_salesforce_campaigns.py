"""Campaigns by collections: found, made, filled, emptied, read; the verdict on each member, contacts and leads alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from connectors.salesforce.campaigns import Campaign, CampaignParams
from connectors.salesforce.members import added, removed
from core.contract import Change, Fault, ListChange, Outcome, Ref, Verdict
from core.errors import AuthError, NotFoundError, ProtocolError, QuotaExhausted, RejectedError, TransientError
from core.sandbox import Reset

CREATE = "POST /services/data/v66.0/composite/sobjects"
DELETE = "DELETE /services/data/v66.0/composite/sobjects"
QUERY = "GET /services/data/v66.0/query"
JSON = {"content-type": "application/json"}


def people(api: Any, *, contacts: Sequence[int] = (), leads: Sequence[int] = ()) -> None:
    for numbers, stage in ((contacts, "customer"), (leads, "lead")):
        rows = [{"id": str(n), "email": f"P{n}@Example.com", "company_id": None, "lifecycle_stage": stage} for n in numbers]
        api.sandbox.load("people", rows)


def contact(api: Any, number: int) -> Ref:
    return Ref(api.sandbox.state.id_of("Contact", str(number)), object="contact")


def lead(api: Any, number: int) -> Ref:
    return Ref(api.sandbox.state.id_of("Lead", str(number)), object="lead")


def adds(*refs: Ref) -> list[Change]:
    return [Change(ref) for ref in refs]


def verdicts(outcomes: Sequence[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


def there(api: Any, name: str = "VIP") -> set[str]:
    return set(api.sandbox.audiences()[name])


def rows(api: Any) -> dict[str, dict[str, Any]]:
    return {k: r for k, r in api.sandbox.state.records["CampaignMember"].items() if not r["IsDeleted"]}


def test_a_campaign_is_made_once_and_found_by_its_name(org: Callable[..., Any], campaign: Campaign) -> None:
    """Gotcha: quotes and backslashes in a literal are escaped."""
    api = org()
    name = 'O\'Brien\\ & 50 % "VIP"'
    assert campaign.lookup(api, name) is None
    made = campaign.create(api, name, [])

    assert made == campaign.lookup(api, name)
    assert [{"Name": name, "IsActive": True}] == api.recorder.bodies("POST", "/sobjects/Campaign")


def test_names_are_not_unique(org: Callable[..., Any], campaign: Campaign) -> None:
    """Gotcha: two campaigns of a name are never chosen between; the sync says which by its id, or the spelling does."""
    api = org()
    first, second, other = (campaign.create(api, name, []) for name in ("VIP", "VIP", "vip"))
    with pytest.raises(RejectedError, match="campaign_id"):
        campaign.lookup(api, "VIP")

    assert other == campaign.lookup(api, "vip")
    assert second == Campaign(CampaignParams(campaign_id=second)).lookup(api, "VIP")
    assert first != second
    with pytest.raises(RejectedError, match="campaign_id"):
        Campaign(CampaignParams(campaign_id="701xx0000099999AAA")).lookup(api, "VIP")


def test_another_spelling_is_the_same_campaign(org: Callable[..., Any], campaign: Campaign) -> None:
    api = org()

    assert campaign.create(api, "Regulars", []) == campaign.lookup(api, "REGULARS")


@pytest.mark.parametrize(("name", "good"), [("VIP", True), ("", False), (" VIP", False), ("x" * 81, False), ("a\nb", False)])
def test_names(campaign: Campaign, name: str, good: bool) -> None:
    assert good is (campaign.check_name(name) is None)


def test_contacts_and_leads_are_found_by_address(org: Callable[..., Any], campaign: Campaign) -> None:
    """Matching is without case, converted leads are passed over, and whoever is both is the contact."""
    api = org()
    people(api, contacts=[1], leads=[2, 3])
    people(api, contacts=[3])  # converted
    api.sandbox.load("people", [{"id": "4", "email": "p1@example.com", "lifecycle_stage": "lead", "company_id": None}])
    found = campaign.find(api, [f"p{n}@example.com" for n in (1, 2, 3, 9)])

    assert {
        "p1@example.com": [contact(api, 1)], "p2@example.com": [lead(api, 2)], "p3@example.com": [contact(api, 3)],
    } == found  # fmt: skip


def test_addresses_are_not_unique(org: Callable[..., Any], campaign: Campaign) -> None:
    """Gotcha: several contacts may have one address; all are told, and the core leaves such a member out."""
    api = org()
    people(api, contacts=[1])
    api.sandbox.load("people", [{"id": "2", "email": "p1@example.com", "company_id": None}])

    assert [contact(api, 1), contact(api, 2)] == campaign.find(api, ["p1@example.com"])["p1@example.com"]


def test_long_addresses_are_asked_for_in_several_queries(org: Callable[..., Any], campaign: Campaign) -> None:
    """Gotcha: the address of a request has 16,384 bytes with its headers; the sandbox refuses a longer one."""
    api = org()
    keys = [f"{'a' * 60}.{n:03}@{'b' * 50}.example.com" for n in range(campaign.find_batch)]
    api.sandbox.load("people", [{"id": str(n), "email": key, "company_id": None} for n, key in enumerate(keys, 1)])

    assert set(keys) == set(campaign.find(api, keys))
    assert 4 < api.sandbox.requests[QUERY] < 8


def test_members_go_in_and_out_by_two_hundred(org: Callable[..., Any], campaign: Campaign) -> None:
    """In by contact or lead id, out by the row's; as many requests as `cost` says."""
    api = org()
    people(api, contacts=range(1, 301), leads=range(301, 451))
    id_ = campaign.create(api, "VIP", [])
    refs = [contact(api, n) for n in range(1, 301)] + [lead(api, n) for n in range(301, 451)]
    before = api.requests.total()
    first = campaign.apply(api, id_, adds(*refs), [])

    assert {Verdict.DONE} == set(verdicts(first))
    assert [ref.remote_id for ref in refs] == [outcome.ref.remote_id for outcome in first]
    assert set(rows(api)) == {outcome.ref.handle for outcome in first}
    assert ["contact"] * 300 + ["lead"] * 150 == [outcome.ref.object for outcome in first]
    assert 3 == api.requests.total() - before == campaign.cost(450, 0)
    gone = campaign.apply(api, id_, adds(*refs[:0]), [outcome.ref for outcome in first[:401]])
    assert {Verdict.DONE} == set(verdicts(gone))
    assert 6 == api.requests.total() - before == campaign.cost(450, 0) + campaign.cost(0, 401)
    assert 49 == len(there(api))
    assert [ListChange("VIP", "add", "1"), ListChange("VIP", "remove", "1")] == [
        line for line in api.sandbox.change_log if line.member == "1"
    ]


def test_one_person_twice_in_a_batch_is_sent_once(org: Callable[..., Any], campaign: Campaign) -> None:
    """Gotcha (mattermost-data-warehouse#1248): a duplicate within an insertion fails; two keys may be one contact."""
    api = org()
    people(api, contacts=[1])
    id_ = campaign.create(api, "VIP", [])
    outcomes = campaign.apply(api, id_, adds(contact(api, 1), contact(api, 1)), [])

    assert [Verdict.DONE, Verdict.DONE] == verdicts(outcomes)
    assert 1 == len(api.recorder.bodies("POST", "/composite/sobjects")[0]["records"])


def test_each_row_has_its_verdict(org: Callable[..., Any], campaign: Campaign) -> None:
    """A 200 says nothing: members already, people deleted, people who never were, converted leads, rows held by others."""
    api = org()
    people(api, contacts=range(1, 5), leads=[8])
    id_ = campaign.create(api, "VIP", [])
    campaign.apply(api, id_, adds(contact(api, 1)), [])
    api.sandbox.delete("people", ["2"])
    api.sandbox.rows.locked[contact(api, 3).remote_id] = 1
    people(api, contacts=[8])  # the lead is converted meanwhile
    asked = [contact(api, 1), contact(api, 2), Ref("003xx0000099999AAA"), contact(api, 3), contact(api, 4), lead(api, 8)]
    outcomes = campaign.apply(api, id_, adds(*asked), [])

    assert [
        (Verdict.NOOP, "a member already"), (Verdict.NOT_FOUND, "ENTITY_IS_DELETED"),
        (Verdict.NOT_FOUND, "INVALID_CROSS_REFERENCE_KEY"), (Verdict.RETRY, "UNABLE_TO_LOCK_ROW"), (Verdict.DONE, ""),
        (Verdict.REJECTED, "CANNOT_UPDATE_CONVERTED_LEAD"),
    ] == [(outcome.verdict, outcome.reason) for outcome in outcomes]  # fmt: skip
    assert "" == outcomes[4].message
    assert " " in outcomes[5].message
    assert {"1", "4"} == there(api)


@pytest.mark.parametrize(
    ("code", "add", "remove"),
    [
        ("DUPLICATE_VALUE", Verdict.NOOP, Verdict.REJECTED),
        ("ENTITY_IS_DELETED", Verdict.NOT_FOUND, Verdict.NOOP),
        ("INVALID_CROSS_REFERENCE_KEY", Verdict.NOT_FOUND, Verdict.NOOP),
        ("UNABLE_TO_LOCK_ROW", Verdict.RETRY, Verdict.RETRY),
        ("UNKNOWN_EXCEPTION", Verdict.RETRY, Verdict.RETRY),
        ("SERVER_UNAVAILABLE", Verdict.RETRY, Verdict.RETRY),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", Verdict.REJECTED, Verdict.REJECTED),
        ("MALFORMED_ID", Verdict.REJECTED, Verdict.REJECTED),
    ],
)
def test_codes(code: str, add: Verdict, remove: Verdict) -> None:
    assert add is added(Ref("003"), None, code).verdict
    assert remove is removed(Ref("003", handle="00v"), False, code).verdict


def test_a_partial_answer_of_the_guide_is_read(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Any, campaign: Campaign
) -> None:
    """Row by row, in the order asked; and the body is what the guide says."""
    file = payload("members_added_partial")
    base = "https://acme.my.salesforce.com"
    respx_mock.post(f"{base}/services/oauth2/token").respond(json=payload("token")["response"]["body"])
    route = respx_mock.post(f"{base}/services/data/v66.0/composite/sobjects").respond(json=file["response"]["body"])
    api = fake_api("salesforce", {"domain": "acme", "client_id": "3MVG9", "client_secret": "s3cret"})
    refs = [Ref("003xx0000012345AAA"), Ref("00Qxx0000012345AAA"), Ref("003xx0000099999AAA")]
    outcomes = campaign.apply(api, "701xx00000ABCDEAAA", adds(*refs), [])

    assert [Verdict.DONE, Verdict.NOOP, Verdict.NOT_FOUND] == verdicts(outcomes)
    assert Ref(refs[0].remote_id, handle="00vxx0000000001AAA", object="contact") == outcomes[0].ref
    assert file["request"]["body"] == json.loads(route.calls[0].request.content)


@pytest.mark.parametrize("body", [[], {}, None, [{"success": True}] * 2, ["x"]])
def test_an_answer_that_leaves_rows_out_confirms_nothing(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Any, campaign: Campaign, body: Any
) -> None:
    base = "https://acme.my.salesforce.com"
    respx_mock.post(f"{base}/services/oauth2/token").respond(json=payload("token")["response"]["body"])
    respx_mock.post(f"{base}/services/data/v66.0/composite/sobjects").respond(json=body)
    api = fake_api("salesforce", {"domain": "acme", "client_id": "3MVG9", "client_secret": "s3cret"})

    with pytest.raises(ProtocolError):
        campaign.apply(api, "701xx00000ABCDEAAA", adds(Ref("003xx0000012345AAA")), [])


def test_removal_without_a_row_looks_it_up_in_this_campaign(org: Callable[..., Any], campaign: Campaign) -> None:
    """Gotcha (corsair#489): looked up by contact alone, the row of another campaign would be deleted."""
    api = org()
    people(api, contacts=[1, 2], leads=[3])
    other, id_ = campaign.create(api, "Other", []), campaign.create(api, "VIP", [])
    refs = [contact(api, 1), contact(api, 2), lead(api, 3)]
    for each in (other, id_):
        campaign.apply(api, each, adds(*refs), [])
    outcomes = campaign.apply(api, id_, [], [contact(api, 1), lead(api, 3), Ref("003xx0000099999AAA")])

    assert [Verdict.DONE, Verdict.DONE, Verdict.NOOP] == verdicts(outcomes)
    assert ({"1", "2", "3"}, {"2"}) == (there(api, "Other"), there(api))
    assert all(f"CampaignId = '{id_}'" in soql for soql in api.recorder.soql() if "FROM CampaignMember" in soql)


@pytest.mark.parametrize("code", ["ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"])
def test_a_row_that_is_gone_is_a_removal_done(org: Callable[..., Any], campaign: Campaign, code: str) -> None:
    """Already off the campaign is as wanted, however the vendor puts it; whoever was put back by hand is looked up."""
    api = org(gone_code=code)
    people(api, contacts=[1, 2])
    id_ = campaign.create(api, "VIP", [])
    refs = [outcome.ref for outcome in campaign.apply(api, id_, adds(contact(api, 1), contact(api, 2)), [])]
    campaign.apply(api, id_, [], refs)
    campaign.apply(api, id_, adds(contact(api, 2)), [])

    assert [Verdict.NOOP, Verdict.DONE] == verdicts(campaign.apply(api, id_, [], refs))
    assert set() == there(api)


@pytest.mark.parametrize("conversion", ["both", "contact", "new_row"])
def test_a_member_who_was_a_lead_is_removed_as_a_contact(org: Callable[..., Any], campaign: Campaign, conversion: str) -> None:
    """Gotcha: on conversion the row becomes the contact's; which ids it then has no page settles, so all ways are tried."""
    api = org(conversion=conversion)
    people(api, leads=[1])
    id_ = campaign.create(api, "VIP", [])
    (outcome,) = campaign.apply(api, id_, adds(lead(api, 1)), [])
    people(api, contacts=[1])
    ((member,),) = campaign.members(api, id_)

    assert contact(api, 1).remote_id == member.remote_id
    assert [Verdict.DONE] == verdicts(campaign.apply(api, id_, [], [outcome.ref]))
    assert set() == there(api)


def test_out_and_in_of_one_person_ends_in(org: Callable[..., Any], campaign: Campaign) -> None:
    """A lead of ours who is a contact now: the row goes first, else the contact would count as there already."""
    api = org()
    people(api, leads=[1])
    id_ = campaign.create(api, "VIP", [])
    (outcome,) = campaign.apply(api, id_, adds(lead(api, 1)), [])
    people(api, contacts=[1])
    both = campaign.apply(api, id_, adds(contact(api, 1)), [outcome.ref])

    assert [Verdict.DONE, Verdict.DONE] == verdicts(both)
    assert {"1"} == there(api)


def test_members_are_read_page_by_page(org: Callable[..., Any], campaign: Campaign) -> None:
    api = org(page_rows=100)
    people(api, contacts=range(1, 151), leads=range(151, 252))
    id_ = campaign.create(api, "VIP", [])
    refs = [contact(api, n) for n in range(1, 151)] + [lead(api, n) for n in range(151, 252)]
    put = campaign.apply(api, id_, adds(*refs), [])
    found = list(campaign.members(api, id_))

    assert [100, 100, 51] == [len(page) for page in found]
    assert [outcome.ref for outcome in put] == [ref for page in found for ref in page]


def test_a_campaign_that_is_gone_is_told(org: Callable[..., Any], campaign: Campaign) -> None:
    """Else every row would be refused as if its person were gone, and the campaign would be read as merely empty."""
    api = org()
    people(api, contacts=[1])
    id_ = campaign.create(api, "VIP", [])
    api.sandbox.state.delete("Campaign", id_)

    with pytest.raises(NotFoundError):
        campaign.apply(api, id_, adds(contact(api, 1)), [])
    with pytest.raises(NotFoundError):
        list(campaign.members(api, id_))
    assert campaign.lookup(api, "VIP") is None


def test_what_was_confirmed_before_a_refusal_is_kept(org: Callable[..., Any], campaign: Campaign) -> None:
    """
    When the day's requests end in the middle, the first 400 stay done: sent again they would be members already, a noop, which
    makes nobody ours.
    """
    api = org()
    people(api, contacts=range(1, 601))
    id_ = campaign.create(api, "VIP", [])
    api.sandbox.used = api.sandbox.daily - api.sandbox._usage() - 2
    object.__setattr__(api.settings, "quota_percent", 101)  # only the vendor's own word counts here
    outcomes = campaign.apply(api, id_, adds(*(contact(api, n) for n in range(1, 601))), [])

    assert [Verdict.DONE] * 400 + [Verdict.RETRY] * 200 == verdicts(outcomes)
    with pytest.raises(QuotaExhausted):
        campaign.apply(api, id_, adds(contact(api, 600)), [])


@pytest.mark.parametrize("act", [True, False])
def test_an_answer_that_was_lost_leaves_the_outcome_open(org: Callable[..., Any], campaign: Campaign, act: bool) -> None:
    """Neither a creation nor a deletion is repeated behind the core's back: the second answer would tell less."""
    api = org()
    people(api, contacts=[1])
    id_ = campaign.create(api, "VIP", [])
    api.served.faults = lambda _m, path, _n: Reset(act=act) if "composite" in path else None
    with pytest.raises(TransientError) as caught:
        campaign.apply(api, id_, adds(contact(api, 1)), [])
    assert caught.value.maybe_acted
    with pytest.raises(TransientError):
        campaign.apply(api, id_, [], [Ref("003xx0000012345AAA", handle="00vxx0000000001AAA")])

    assert (int(act), int(act)) == (api.sandbox.writes[CREATE], api.sandbox.writes[DELETE])


def test_without_the_permission_the_connection_stops(org: Callable[..., Any], campaign: Campaign) -> None:
    api = org()
    body = b'[{"message":"insufficient access rights on object id","errorCode":"INSUFFICIENT_ACCESS_OR_READONLY"}]'
    api.served.faults = lambda _m, path, _n: Fault(400, JSON, body) if "sobjects" in path else None

    with pytest.raises(AuthError, match="permission"):
        campaign.create(api, "VIP", [])


def test_nobody_s_record_is_written(org: Callable[..., Any], campaign: Campaign) -> None:
    """Members come and go; contacts and leads, and who opted out, stay as they are; nobody can be made."""
    api = org()
    people(api, contacts=[1], leads=[2])
    api.sandbox.load("people", [{"id": "1", "extra": {"HasOptedOutOfEmail": True}}])
    id_ = campaign.create(api, "VIP", [])
    before = {of: {k: dict(r) for k, r in api.sandbox.state.records[of].items()} for of in ("Contact", "Lead")}
    refs = [outcome.ref for outcome in campaign.apply(api, id_, adds(contact(api, 1), lead(api, 2)), [])]
    campaign.apply(api, id_, [], refs)

    assert before == {of: dict(api.sandbox.state.records[of]) for of in before}
    assert {CREATE, DELETE, "POST /services/data/v66.0/sobjects/{sobject}"} == set(api.sandbox.writes)
    assert campaign.create_people is None


def test_a_made_campaign_without_an_id_is_not_understood(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Any, campaign: Campaign
) -> None:
    base = "https://acme.my.salesforce.com"
    respx_mock.post(f"{base}/services/oauth2/token").respond(json=payload("token")["response"]["body"])
    respx_mock.post(f"{base}/services/data/v66.0/sobjects/Campaign").side_effect = lambda _request: httpx.Response(
        201, json={"success": False, "errors": []}
    )
    api = fake_api("salesforce", {"domain": "acme", "client_id": "3MVG9", "client_secret": "s3cret"})

    with pytest.raises(ProtocolError):
        campaign.create(api, "VIP", [])


def test_a_place_that_a_merge_handed_on_is_no_second_one(org: Callable[..., Any], campaign: Campaign) -> None:
    """The winner is a member already, by the loser's row; sent again they are refused, and are taken out once."""
    api = org()
    people(api, contacts=[1, 2])
    made = campaign.create(api, "VIP", [])
    campaign.apply(api, made, adds(contact(api, 1)), [])
    api.sandbox.merge("people", "1", "2")
    assert {"2"} == there(api)

    assert [Verdict.NOOP] == verdicts(campaign.apply(api, made, adds(contact(api, 2)), []))
    assert 1 == len(rows(api))
    campaign.apply(api, made, [], [contact(api, 2)])
    assert set() == there(api)
