"""The audience `tag`: people looked at first, then one request for each who needs it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from encharge_rows import BASE, SETTINGS, Payload, adds, refs
from support.members import in_tag, many, people, verdicts

from core.contract import Change, Fault, Op, Ref, Verdict
from core.errors import AuthError, NotFoundError, ProtocolError, RejectedError, TransientError
from core.sandbox import Reset

TAGGING = "POST /v1/tags"


def test_tagging_and_untagging_name_the_person_by_id(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 1: the removal is a DELETE with a body; each is a request of its own."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    tag.apply(mail, id_, adds(mail, "bo@example.com"), [])
    before = mail.requests.total()
    outcomes = tag.apply(mail, id_, adds(mail, "ann@example.com"), refs(mail, "bo@example.com"))

    assert [Verdict.DONE, Verdict.DONE] == verdicts(outcomes)
    assert frozenset({"ann@example.com"}) == in_tag(mail)
    assert tag.cost(1, 1) == mail.requests.total() - before
    sent = {method: body for method, path, _, body in mail.recorder.seen[-2:] if path.endswith("/tags")}
    ann, bo = (ref.remote_id for ref in refs(mail, "ann@example.com", "bo@example.com"))
    assert {"POST": {"tag": "VIP", "id": ann}, "DELETE": {"tag": "VIP", "id": bo}} == sent


def test_nothing_is_sent_for_who_is_as_they_should_be(mail: Any, tag: Any, id_: str) -> None:
    """Tagged already, or not tagged: no request, and no flow that starts again."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    tag.apply(mail, id_, adds(mail, "ann@example.com"), [])
    writes = mail.sandbox.writes.total()
    outcomes = tag.apply(mail, id_, adds(mail, "ann@example.com"), refs(mail, "bo@example.com"))

    assert [Verdict.NOOP, Verdict.NOOP] == verdicts(outcomes)
    assert writes == mail.sandbox.writes.total()


@pytest.mark.parametrize("tells_all", [True, False])
@pytest.mark.parametrize("flat", [True, False])
def test_the_unsubscribed_get_no_tag(make_mail: Any, tag: Any, tells_all: bool, flat: bool) -> None:
    """Quirk 7: asked for by name right before; a tag that they have is taken off all the same."""
    api = make_mail(tells_all=tells_all, flat=flat)
    api.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    id_ = tag.create(api, "VIP", [])
    tag.apply(api, id_, adds(api, "bo@example.com"), [])
    api.sandbox.load("members", people("ann@example.com", "bo@example.com", status="unsubscribed"))
    outcomes = tag.apply(api, id_, adds(api, "ann@example.com"), refs(api, "bo@example.com"))

    assert [Verdict.SUPPRESSED, Verdict.DONE] == verdicts(outcomes)
    assert frozenset() == in_tag(api)


def test_nobody_is_made_archived_or_unsubscribed(mail: Any, tag: Any, id_: str) -> None:
    """Whatever somebody's state is, it is the same afterwards; nobody is there who was not."""
    states = ("subscribed", "unsubscribed", "archived", "transactional")
    for state in states:
        mail.sandbox.load("members", people(f"{state}@example.com", status=state))
    before = {user.id: (user.unsubscribed, user.archived) for user in mail.sandbox.users.values()}
    everybody = [f"{state}@example.com" for state in states]
    tag.apply(mail, id_, adds(mail, *everybody), [])
    tag.apply(mail, id_, [Change(Ref("6f1c2a9e-0000-4000-8000-00000000dead"))], refs(mail, *everybody))

    assert before == {user.id: (user.unsubscribed, user.archived) for user in mail.sandbox.users.values()}
    assert tag.create_people is None


@pytest.mark.parametrize("tags_nobody", ["404", "201"])
def test_the_archived_are_not_found_and_get_nothing(make_mail: Any, tag: Any, tags_nobody: str) -> None:
    """Quirks 9 and 14: whatever the vendor would say to a tag for nobody, it is not asked."""
    api = make_mail(tags_nobody=tags_nobody)
    api.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    id_ = tag.create(api, "VIP", [])
    api.sandbox.load("members", people("ann@example.com", status="archived"))
    asked = adds(api, "ann@example.com", "bo@example.com")
    api.sandbox.delete("members", ["bo@example.com"])
    outcomes = tag.apply(api, id_, asked, [change.ref for change in asked])

    assert [Verdict.NOT_FOUND] * 2 + [Verdict.NOOP] * 2 == verdicts(outcomes)
    assert 0 == api.sandbox.writes[TAGGING]


def test_somebody_who_vanishes_in_between(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Quirk 14: 404 of a tag call is an unknown person; a removal is as good as done."""
    respx_mock.get(f"{BASE}/tags-management").respond(**Payload("tags").kwargs)
    respx_mock.get(f"{BASE}/fields").respond(**Payload("fields").kwargs)
    ann = Payload("people_some").body["users"][0]
    bo = {**ann, "id": "6f1c2a9e-0000-4000-8000-000000000002", "tags": ""}
    respx_mock.get(url__startswith=f"{BASE}/people").respond(json={"users": [ann, bo]})
    for method in ("POST", "DELETE"):
        respx_mock.request(method, f"{BASE}/tags").respond(404, json={"error": {"message": "Person not found"}})
    outcomes = tag.apply(fake_api("encharge", SETTINGS), "vip", [Change(Ref(bo["id"]))], [Ref(ann["id"])])

    assert [Verdict.NOT_FOUND, Verdict.NOOP] == verdicts(outcomes)


def test_a_tag_that_is_gone_is_not_made_again(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 10: renamed or deleted there; tagging would bring the old name back."""
    mail.sandbox.load("members", people("ann@example.com"))
    mail.sandbox.tags.remove("VIP")

    with pytest.raises(NotFoundError):
        tag.apply(mail, id_, adds(mail, "ann@example.com"), [])
    with pytest.raises(NotFoundError):
        next(tag.members(mail, id_))
    assert "VIP" not in mail.sandbox.tags


@pytest.mark.parametrize("tag_again", ["same", "refused"])
def test_a_tag_that_is_there_is_taken(make_mail: Any, tag: Any, tag_again: str) -> None:
    """Quirk 10: how a second one of a name is answered is unconfirmed; there is one either way."""
    api = make_mail(tag_again=tag_again)

    assert "VIP" == tag.create(api, "VIP", []) == tag.create(api, "VIP", []) == tag.lookup(api, "vip")
    assert 1 == api.sandbox.tags.count("VIP")


def test_a_refusal_that_is_not_about_the_name_is_one(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Nothing is taken for made."""
    respx_mock.post(f"{BASE}/tags-management").respond(400, json={})
    respx_mock.get(f"{BASE}/tags-management").respond(**Payload("tags").kwargs)
    with pytest.raises(RejectedError):
        tag.create(fake_api("encharge", SETTINGS), "VIP lounge", [])


def test_a_tag_is_not_a_part_of_another(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 2: the text is split; "VIP" is not in "VIP lounge"."""
    mail.sandbox.load("members", people("ann@example.com"))
    lounge = tag.create(mail, "VIP lounge", [])
    tag.apply(mail, lounge, adds(mail, "ann@example.com"), [])

    assert [Verdict.DONE] == verdicts(tag.apply(mail, id_, adds(mail, "ann@example.com"), []))
    assert "VIP lounge,VIP" == mail.sandbox._user_json(mail.sandbox.user("ann@example.com"), [])["tags"]
    assert [[ref] for ref in refs(mail, "ann@example.com")] == list(tag.members(mail, id_)) == list(tag.members(mail, lounge))


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("Pricing regular", True),
        ("nps_9-10", True),
        ("a,b", False),
        ("", False),
        (" VIP", False),
        ("NPS: 9", False),
        ("a\nb", False),
    ],
)
def test_names(tag: Any, name: str, good: bool) -> None:
    """Quirk 2: a comma silently makes two tags; said before any request."""
    assert good is (tag.check_name(name) is None)


def test_finds_fifty_at_a_time(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 4: by address to find, by id to look; brackets and all."""
    mail.sandbox.load("members", many(120))
    everybody = [f"p{i:04}@example.com" for i in range(120)]
    found = tag.find(mail, everybody[:50])
    outcomes = tag.apply(mail, id_, [Change(ref) for ref in refs(mail, *everybody[:100])], [])

    assert everybody[:50] == list(found)
    assert {Verdict.DONE} == set(verdicts(outcomes))
    assert 3 == mail.sandbox.requests["GET /v1/people"]
    assert "people[0][email]" in dict(mail.recorder.seen[2][2])
    assert tag.cost(100, 0) == mail.sandbox.requests.total() - 3  # two for the making of the tag, and one to find


def test_finds_by_address_and_nobody_else(mail: Any, tag: Any) -> None:
    """Quirk 4: a plus in an address stays one; the archived are not known."""
    mail.sandbox.load("members", [*people("Ann+x@Example.com"), *people("gone@example.com", status="archived")])
    found = tag.find(mail, ["ann+x@example.com", "ann x@example.com", "gone@example.com"])

    assert {"ann+x@example.com": refs(mail, "ann+x@example.com")} == found


def test_people_nobody_asked_for_are_seen(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Quirk 4: were the query misread, others would be tagged."""
    respx_mock.get(f"{BASE}/tags-management").respond(**Payload("tags").kwargs)
    respx_mock.get(f"{BASE}/fields").respond(**Payload("fields").kwargs)
    respx_mock.get(url__startswith=f"{BASE}/people").respond(**Payload("people_some").kwargs)
    api = fake_api("encharge", SETTINGS)

    with pytest.raises(ProtocolError):
        tag.find(api, ["bo@example.com"])
    with pytest.raises(ProtocolError):
        tag.apply(api, "vip", [Change(Ref("6f1c2a9e-0000-4000-8000-000000000002"))], [])


def test_reads_everybody_with_the_tag(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 11: all people, page by page."""
    mail.sandbox.load("members", many(230))
    for user in list(mail.sandbox.users.values())[5:]:
        user.tags.append("VIP")

    assert 225 == len({ref.remote_id for page in tag.members(mail, id_) for ref in page})


def test_a_lost_answer_is_asked_for_again(mail: Any, tag: Any, id_: str) -> None:
    """Tagging is harmless to repeat: carried out, the answer lost, and repeated, it is one tag, and ours."""
    mail.sandbox.load("members", people("ann@example.com"))
    began = mail.served.count
    mail.served.faults = lambda method, path, number: Reset(act=True) if number == began + 4 else None
    (outcome,) = tag.apply(mail, id_, adds(mail, "ann@example.com"), [])

    assert Verdict.DONE is outcome.verdict
    assert (2, [Op.ADD]) == (mail.sandbox.writes[TAGGING], [line.op for line in mail.sandbox.change_log])


def test_what_is_known_of_a_batch_stays_known(mail: Any, tag: Any, id_: str) -> None:
    """A key revoked in the middle leaves outcomes behind; a vendor that went away leaves a question, which the core asks."""
    mail.sandbox.load("members", many(5))
    everybody = [f"p{i:04}@example.com" for i in range(5)]
    began = mail.served.count
    revoked = Fault(401, {"content-type": "application/json"}, json.dumps({"error": {}}).encode())
    mail.served.faults = lambda method, path, number: revoked if number > began + 5 else None
    outcomes = tag.apply(mail, id_, adds(mail, *everybody), [])
    assert [Verdict.DONE] * 2 + [Verdict.RETRY] * 3 == verdicts(outcomes)
    with pytest.raises(AuthError):
        tag.apply(mail, id_, adds(mail, *everybody), [])

    began = mail.served.count
    mail.served.faults = lambda method, path, number: Reset() if number > began + 4 else None
    with pytest.raises(TransientError):
        tag.apply(mail, id_, adds(mail, *everybody), [])
