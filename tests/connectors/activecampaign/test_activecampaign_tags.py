"""The audience `tag`: one request a person, removed by the association's own id, and nobody's list touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from activecampaign_rows import BASE, SETTINGS, Payload, adds, ref, refs
from support.members import in_tag, many, people, verdicts

from connectors.activecampaign.sandbox_state import LIST
from core.contract import Change, Fault, Op, Outcome, Person, Ref, Verdict
from core.errors import AuthError, NotFoundError, ProtocolError, TransientError
from core.sandbox import Reset

TAGGING = "POST /api/3/contactTags"


def test_an_add_carries_the_association_which_removal_needs(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 13: the id to delete is neither the contact's nor the tag's; with it, removal is one request."""
    mail.sandbox.load("members", people("ann@example.com"))
    (added,) = tag.apply(mail, id_, adds(mail, "ann@example.com"), [])
    before = mail.requests.total()
    (removed,) = tag.apply(mail, id_, [], [added.ref])

    assert added.ref.handle not in (None, added.ref.remote_id, id_)
    assert [Verdict.DONE, Verdict.DONE] == [added.verdict, removed.verdict]
    assert 1 == mail.requests.total() - before == tag.cost(0, 1)
    assert frozenset() == in_tag(mail)


def test_without_a_handle_the_association_is_looked_up(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 13: among the contact's, by the tag's id; another tag is left alone."""
    mail.sandbox.load("members", people("ann@example.com"))
    other = tag.create(mail, "Other", [])
    for each in (id_, other):
        tag.apply(mail, each, adds(mail, "ann@example.com"), [])
    (removed,) = tag.apply(mail, id_, [], refs(mail, "ann@example.com"))

    assert Verdict.DONE is removed.verdict
    assert (frozenset(), frozenset({"ann@example.com"})) == (in_tag(mail), in_tag(mail, "Other"))


def test_a_handle_that_is_gone_is_no_error(mail: Any, tag: Any, id_: str) -> None:
    """404 "No Result found for SubscriberTag" is gone already; a tag put on again since has another association."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    ann, bo = (outcome.ref for outcome in tag.apply(mail, id_, adds(mail, "ann@example.com", "bo@example.com"), []))
    for one in (ann, bo):
        mail.sandbox.state.untag(int(one.handle))
    tag.apply(mail, id_, adds(mail, "bo@example.com"), [])
    outcomes = tag.apply(mail, id_, [], [ann, bo])

    assert [Verdict.NOOP, Verdict.DONE] == verdicts(outcomes)
    assert frozenset() == in_tag(mail)


@pytest.mark.parametrize("tags_again", ["same", "refused"])
def test_tagging_twice_is_tagging_once(make_mail: Any, tag: Any, tags_again: str) -> None:
    """Quirk 14: however a second time is answered, nothing happens twice and the association is known."""
    api = make_mail(tags_again=tags_again)
    api.sandbox.load("members", people("ann@example.com"))
    id_ = tag.create(api, "VIP", [])
    (first,) = tag.apply(api, id_, adds(api, "ann@example.com"), [])
    (second,) = tag.apply(api, id_, adds(api, "ann@example.com"), [])

    assert {"same": Verdict.DONE, "refused": Verdict.NOOP}[tags_again] is second.verdict
    assert first.ref == second.ref
    assert [Op.ADD] == [line.op for line in api.sandbox.change_log]


def test_a_contact_or_a_tag_that_is_gone(mail: Any, tag: Any, id_: str) -> None:
    """The first is not found; the second is told as such, so that the core sees that the audience is gone."""
    mail.sandbox.load("members", people("ann@example.com"))
    ann = ref(mail, "ann@example.com")
    assert [Verdict.NOT_FOUND, Verdict.NOOP] == verdicts(tag.apply(mail, id_, [Change(Ref("999"))], [Ref("999")]))

    with pytest.raises(NotFoundError):
        tag.apply(mail, "999", [Change(ann)], [])
    with pytest.raises(NotFoundError):
        next(tag.members(mail, "999"))


def test_what_is_known_of_a_batch_stays_known(mail: Any, tag: Any, id_: str) -> None:
    """A key that is revoked in the middle: those before have their outcomes, the others are tried again and told then."""
    mail.sandbox.load("members", many(5))
    began = mail.served.count
    revoked = Fault(403, {"content-type": "application/json"}, b"{}")
    mail.served.faults = lambda method, path, number: revoked if number > began + 3 else None
    outcomes = tag.apply(mail, id_, [Change(one) for one in refs(mail, *(f"p{i:04}@example.com" for i in range(5)))], [])

    assert [Verdict.DONE] * 3 + [Verdict.RETRY] * 2 == verdicts(outcomes)
    with pytest.raises(AuthError):
        tag.apply(mail, id_, adds(mail, "p0004@example.com"), [])


@pytest.mark.parametrize("tags_again", ["same", "refused"])
def test_a_lost_answer_is_a_question_for_the_core(make_mail: Any, tag: Any, tags_again: str) -> None:
    """Quirk 14: repeated behind its back, our own tag could come back as somebody else's; asked again by it, it is one tag."""
    api = make_mail(tags_again=tags_again)
    api.sandbox.load("members", people("ann@example.com"))
    id_ = tag.create(api, "VIP", [])
    began = api.served.count
    api.served.faults = lambda method, path, number: Reset(act=True) if number == began + 1 else None
    with pytest.raises(TransientError) as caught:
        tag.apply(api, id_, adds(api, "ann@example.com"), [])
    (outcome,) = tag.apply(api, id_, adds(api, "ann@example.com"), [])

    assert caught.value.maybe_acted
    assert outcome.ref.handle
    assert (2, 1) == (api.sandbox.writes[TAGGING], len(api.sandbox.change_log))


def test_an_answer_about_somebody_else_is_no_confirmation(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """The association must be of the contact and the tag that were sent; ids are texts in it."""
    payload = Payload("contact_tag")
    route = respx_mock.post(f"{BASE}/contactTags").respond(**payload.kwargs)
    api = fake_api("activecampaign", SETTINGS)
    assert [Outcome(Ref("1", handle="77"), Verdict.DONE)] == tag.apply(api, "20", [Change(Ref("1"))], [])
    assert payload.file["request"]["body"] == json.loads(route.calls[0].request.content)

    with pytest.raises(ProtocolError):
        tag.apply(api, "20", [Change(Ref("2"))], [])


def test_a_removal_that_is_refused_is_one_person_s(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """The others of the batch go on."""
    respx_mock.delete(f"{BASE}/contactTags/77").respond(422, json={"errors": [{"title": "not so", "status": 422}]})
    respx_mock.delete(f"{BASE}/contactTags/78").respond(200, json={})
    outcomes = tag.apply(fake_api("activecampaign", SETTINGS), "20", [], [Ref("1", handle="77"), Ref("2", handle="78")])

    assert [Verdict.REJECTED, Verdict.DONE] == verdicts(outcomes)
    assert "not so" == outcomes[0].message


def test_a_missing_association_as_recorded(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """The vendor's own words for "gone already"."""
    respx_mock.delete(f"{BASE}/contactTags/77").respond(**Payload("contact_tag_missing").kwargs)
    respx_mock.get(f"{BASE}/contacts/1/contactTags").respond(json={"contactTags": []})
    (outcome,) = tag.apply(fake_api("activecampaign", SETTINGS), "20", [], [Ref("1", handle="77")])

    assert Verdict.NOOP is outcome.verdict


def test_tag_names_are_whole_and_without_case(mail: Any, tag: Any) -> None:
    """Quirk 12: `search` means contains; names are unique without regard to case, so "vip" is the tag VIP."""
    lounge = tag.create(mail, "VIP lounge", [])
    assert tag.lookup(mail, "VIP") is None
    vip = tag.create(mail, "vIp", [])

    assert (vip, vip, lounge) == (tag.lookup(mail, "VIP"), tag.lookup(mail, "vIp"), tag.lookup(mail, "vip lounge"))


def test_a_tag_of_another_type_is_none_of_ours(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Templates have tags too: only `tagType` contact counts."""
    rows = [{"id": "3", "tag": "VIP", "tagType": "template"}, {"id": "4", "tag": "VIPs", "tagType": "contact"}]
    respx_mock.get(url__startswith=f"{BASE}/tags").respond(json={"tags": rows, "meta": {"total": "2"}})

    assert tag.lookup(fake_api("activecampaign", SETTINGS), "VIP") is None


def test_a_tag_behind_a_hundred_is_found(mail: Any, tag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quirks 2 and 7: were the filter ignored, the tag would still be found, page by page, and not made a second time."""
    for i in range(130):
        mail.sandbox.state.tags[1000 + i] = f"T{i:03}"
    monkeypatch.setattr("connectors.activecampaign.vendor._bracketed", lambda name: "misspelt" if "search" in name else name)
    from connectors.activecampaign.vendor import by_offset

    assert 131 == sum(len(rows) for rows in by_offset(mail, "/tags", "tags"))
    mail.recorder.seen.clear()
    assert "1129" == tag.lookup(mail, "T129")
    mail.recorder.seen.clear()  # the misspelt requests are no part of what the connector asks


def test_a_tag_that_somebody_made_meanwhile_is_taken(mail: Any, tag: Any) -> None:
    """Quirk 12: an SQL-flavoured refusal, after which the tag is read again."""
    first = tag.create(mail, "VIP", [])

    assert first == tag.create(mail, "vip", [])
    assert ["VIP"] == [name for name in mail.sandbox.state.tags.values() if name.lower() == "vip"]


def test_a_refusal_as_recorded_leads_to_the_tag_there_is(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """The recorded duplicate."""
    respx_mock.post(f"{BASE}/tags").respond(**Payload("tag_duplicate").kwargs)
    rows = [{"id": "16", "tag": "VIP", "tagType": "contact"}]
    respx_mock.get(url__startswith=f"{BASE}/tags").respond(json={"tags": rows, "meta": {"total": "1"}})

    assert "16" == tag.create(fake_api("activecampaign", SETTINGS), "VIP", [])


@pytest.mark.parametrize("status", ["subscribed", "unsubscribed", "cleaned", "transactional"])
def test_nobody_s_lists_are_touched_by_a_tag(mail: Any, tag: Any, id_: str, status: str) -> None:
    """A tag is no consent, either way."""
    mail.sandbox.load("members", people("ann@example.com", status=status))
    before = dict(mail.sandbox.state.by_email("ann@example.com").lists)
    (added,) = tag.apply(mail, id_, adds(mail, "ann@example.com"), [])
    tag.apply(mail, id_, [], [added.ref])

    assert before == mail.sandbox.state.by_email("ann@example.com").lists


def test_finds_by_address_and_nobody_else(mail: Any, tag: Any) -> None:
    """One address a request, a plus in it included; somebody deleted is not known."""
    mail.sandbox.load("members", [*people("Ann+x@Example.com"), *people("gone@example.com", status="archived")])
    found = tag.find(mail, ["ann+x@example.com", "annx@example.com", "gone@example.com"])

    assert {"ann+x@example.com": [ref(mail, "ann+x@example.com")]} == found


def test_an_ignored_filter_is_seen(make_mail: Any, tag: Any, field: Any) -> None:
    """Quirk 7: a filter that is not heeded brings everybody; the first of them is not whom we asked for."""
    api = make_mail(ignores=["email", "ids[]"])
    api.sandbox.load("members", people("zoe@example.com", "ann@example.com"))

    with pytest.raises(ProtocolError, match="others"):
        tag.find(api, ["nobody@example.com"])
    made = field.create(api, "Regular", [])
    with pytest.raises(ProtocolError, match="others"):
        field.apply(api, made, adds(api, "zoe@example.com"), [])


def test_people_are_made_on_no_list(mail: Any, tag: Any) -> None:
    """Quirk 9: keyed on the address, so harmless to repeat; who is there keeps their lists, a bad address stands alone."""
    mail.sandbox.load("members", people("old@example.com", status="unsubscribed"))
    asked = [Person("new@example.com", {"first_name": "Nu", "last_name": None}), Person("old@example.com"), Person("bad")]
    outcomes = tag.create_people(mail, asked)
    again = tag.create_people(mail, asked[:1])

    assert [Verdict.DONE, Verdict.DONE, Verdict.REJECTED] == verdicts(outcomes)
    assert outcomes[0].ref == again[0].ref == ref(mail, "new@example.com")
    assert ({}, {LIST: 2}) == tuple(mail.sandbox.state.by_email(f"{who}@example.com").lists for who in ("new", "old"))
    assert {"contact": {"email": "new@example.com", "firstName": "Nu"}} == mail.recorder.bodies("/contact/sync")[0]
    assert "@" not in outcomes[2].reason


@pytest.mark.parametrize("total_counts", ["all", "above"])
def test_reads_everybody_with_the_tag(make_mail: Any, tag: Any, total_counts: str) -> None:
    """Page by page, by id; whatever they said on a list."""
    api = make_mail(total_counts=total_counts)
    api.sandbox.load("members", many(230))
    api.sandbox.load("members", people("p0003@example.com", status="unsubscribed"))
    id_ = tag.create(api, "VIP", [])
    for contact in list(api.sandbox.state.contacts.values())[:220]:
        api.sandbox.state.tag(contact, int(id_))

    assert 220 == len({ref.remote_id for page in tag.members(api, id_) for ref in page})


@pytest.mark.parametrize(("name", "good"), [("VIP", True), ("a, b", True), ("", False), (" VIP", False), ("a\nb", False)])
def test_names(tag: Any, field: Any, name: str, good: bool) -> None:
    """What is wrong with a name is said before any request."""
    assert good is (tag.check_name(name) is None) is (field.check_name(name) is None)
