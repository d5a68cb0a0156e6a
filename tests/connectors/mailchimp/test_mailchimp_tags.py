"""The audience `tag`: the delta call, told apart member by member, and nobody's consent touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mailchimp_rows import BASE, SETTINGS, Payload
from support.members import in_tag, people

from connectors.mailchimp.tags import LOOK_SINGLY, read_refusal
from core.contract import Change, Outcome, Person, Ref, Verdict
from core.errors import NotFoundError, ProtocolError, RejectedError, TransientError

TAG = f"{BASE}/lists/a6b5da1054/segments/123"
MEMBER = f"{BASE}/lists/a6b5da1054/members"


def adds(*addresses: str) -> list[Change]:
    return [Change(Ref(address)) for address in addresses]


def refs(*addresses: str) -> list[Ref]:
    return [Ref(address) for address in addresses]


def verdicts(outcomes: Any) -> list[tuple[str, Verdict]]:
    return [(outcome.ref.remote_id, outcome.verdict) for outcome in outcomes]


def test_adds_and_removes_go_in_one_call(mail: Any, tag: Any, id_: str) -> None:
    """One request for both directions, with the two keys that the call knows (never `static_segment`, which it ignores)."""
    mail.sandbox.load("members", people("Ann@Example.com", "bo@example.com"))
    tag.apply(mail, id_, adds("bo@example.com"), [])
    before = mail.requests.total()
    outcomes = tag.apply(mail, id_, adds("ann@example.com"), refs("bo@example.com"))

    assert [("ann@example.com", Verdict.DONE), ("bo@example.com", Verdict.DONE)] == verdicts(outcomes)
    assert frozenset({"ann@example.com"}) == in_tag(mail)
    assert 1 == mail.requests.total() - before == tag.cost(1, 1)
    assert {"members_to_add": ["ann@example.com"], "members_to_remove": ["bo@example.com"]} == mail.recorder.bodies()[-1]


def test_a_partial_failure_is_told_apart(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """The status is 200 and says nothing: who is named as added is done, who is not is looked at."""
    payload = Payload("segment_partial")
    route = respx_mock.post(TAG).respond(**payload.kwargs)
    respx_mock.get(url__startswith=f"{MEMBER}/").respond(404, json={"title": "Resource Not Found", "status": 404})
    outcomes = tag.apply(
        fake_api("mailchimp", SETTINGS), "123", adds("ann@example.com", "zz@example.com"), refs("bo@example.com")
    )

    assert [
        Outcome(Ref("ann@example.com"), Verdict.DONE),
        Outcome(Ref("zz@example.com"), Verdict.NOT_FOUND, reason="absent"),
        Outcome(Ref("bo@example.com"), Verdict.DONE),
    ] == list(outcomes)
    assert payload.file["request"]["body"] == json.loads(route.calls[0].request.content)


def test_a_forgotten_address_is_suppressed(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Quirk 10: somebody deleted for good is never retried, and the reason holds no address."""
    respx_mock.post(TAG).respond(**Payload("segment_forgotten").kwargs)
    (outcome,) = tag.apply(fake_api("mailchimp", SETTINGS), "123", adds("gone@example.com"), [])

    assert Outcome(Ref("gone@example.com"), Verdict.SUPPRESSED, reason="forgotten") == outcome


@pytest.mark.parametrize("asked", [adds("ann@example.com"), adds("ann@example.com", "bo@example.com")])
def test_an_error_that_names_nobody_never_passes_as_done(asked: Any, respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """The core then halves the batch."""
    respx_mock.post(TAG).respond(**Payload("segment_nameless_error").kwargs)

    with pytest.raises(RejectedError, match="names nobody"):
        tag.apply(fake_api("mailchimp", SETTINGS), "123", asked, [])


def test_an_error_about_somebody_else_never_passes_as_done(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Nor does an error that names an address we did not send."""
    respx_mock.post(TAG).respond(**Payload("segment_forgotten").kwargs)

    with pytest.raises(RejectedError, match="names nobody"):
        tag.apply(fake_api("mailchimp", SETTINGS), "123", adds("ann@example.com"), [])


@pytest.mark.parametrize("body", [{}, {"members_added": []}, []])
def test_an_answer_without_its_lists_is_a_protocol_error(body: Any, respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """A 200 that says nothing of members is no confirmation."""
    respx_mock.post(TAG).respond(json=body)

    with pytest.raises(ProtocolError):
        tag.apply(fake_api("mailchimp", SETTINGS), "123", adds("ann@example.com"), [])


@pytest.mark.parametrize(
    ("status", "add", "remove"),
    [
        pytest.param("subscribed", Verdict.DONE, Verdict.DONE, id="subscribed"),
        pytest.param("transactional", Verdict.DONE, Verdict.DONE, id="transactional"),
        pytest.param("pending", Verdict.DONE, Verdict.DONE, id="pending"),
        pytest.param("unsubscribed", Verdict.SUPPRESSED, Verdict.DONE, id="unsubscribed"),
        pytest.param("cleaned", Verdict.SUPPRESSED, Verdict.DONE, id="cleaned"),
        pytest.param("archived", Verdict.NOT_FOUND, Verdict.NOOP, id="archived"),
        pytest.param(None, Verdict.NOT_FOUND, Verdict.NOOP, id="not-on-the-list"),
    ],
)
def test_each_state_of_a_person(mail: Any, tag: Any, id_: str, status: str | None, add: Verdict, remove: Verdict) -> None:
    """Quirk 14: the verdict on somebody whom the answer does not confirm is read from the person, both ways."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    tag.apply(mail, id_, adds("bo@example.com"), [])
    if status is None:
        mail.sandbox.delete("members", ["ann@example.com", "bo@example.com"])
    else:
        mail.sandbox.load("members", people("ann@example.com", "bo@example.com", status=status))
    outcomes = tag.apply(mail, id_, adds("ann@example.com"), refs("bo@example.com"))

    assert [("ann@example.com", add), ("bo@example.com", remove)] == verdicts(outcomes)
    assert (frozenset({"ann@example.com"}) if add is Verdict.DONE else frozenset()) == in_tag(mail)


@pytest.mark.parametrize("confirms_again", [True, False])
@pytest.mark.parametrize("count", [3, LOOK_SINGLY + 5])
def test_sent_twice_is_sent_once(make_mail: Any, tag: Any, confirms_again: bool, count: int) -> None:
    """Quirk 14: whether the answer names people who had the tag already is not documented; either way nothing happens twice."""
    api = make_mail(confirms_again=confirms_again)
    id_ = tag.create(api, "VIP", [])
    everybody = [f"p{i}@example.com" for i in range(count)]
    api.sandbox.load("members", people(*everybody))
    first = tag.apply(api, id_, adds(*everybody), [])
    before = api.requests.total()
    second = tag.apply(api, id_, adds(*everybody), [])

    assert {Verdict.DONE} == {outcome.verdict for outcome in first}
    assert {Verdict.DONE if confirms_again else Verdict.NOOP} == {outcome.verdict for outcome in second}
    assert count == len(api.sandbox.change_log)
    expected = 1 if confirms_again else 1 + count if count <= LOOK_SINGLY else 2  # the tag is read, not each person
    assert expected == api.requests.total() - before


def test_somebody_silently_refused_is_tried_again(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Quirk 14: on the list, mailable, not in the answer and without the tag: nothing says it was refused."""
    respx_mock.post(TAG).respond(json={"members_added": [], "members_removed": [], "errors": []})
    respx_mock.get(url__startswith=f"{MEMBER}/").respond(json={"status": "subscribed", "tags": [], "tags_count": 0})
    (outcome,) = tag.apply(fake_api("mailchimp", SETTINGS), "123", adds("ann@example.com"), [])

    assert Verdict.RETRY is outcome.verdict


def test_a_tag_beyond_the_fifty_shown_is_found(mail: Any, tag: Any) -> None:
    """Quirk 15: at most 50 tags come with a member; the rest are asked for."""
    mail.sandbox.load("members", people("ann@example.com"))
    made = [mail.sandbox.list.make(f"Tag {i}") for i in range(60)]
    for one in made:
        mail.sandbox.list.tag(one.id, "ann@example.com")
    (outcome,) = tag.apply(mail, str(made[-1].id), adds("ann@example.com"), [])

    assert Verdict.NOOP is outcome.verdict


def test_nobody_s_status_is_touched_by_a_push(mail: Any, tag: Any, id_: str) -> None:
    """Whatever somebody's consent is, tagging, untagging and looking leave it as it was; no call carries a status."""
    states = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived")
    for state in states:
        mail.sandbox.load("members", people(f"{state}@example.com", status=state))
    before = dict(mail.sandbox.statuses())
    everybody = [f"{state}@example.com" for state in states]
    tag.apply(mail, id_, adds(*everybody), [])
    tag.apply(mail, id_, [], refs(*everybody))
    tag.create_people(mail, [Person(who) for who in everybody if who != "archived@example.com"])

    assert before == mail.sandbox.statuses()
    assert not any("status" in json.dumps(body) for body in mail.recorder.bodies() if "members" not in body)
    assert {"GET", "POST"} == {method for method, *_ in mail.recorder.seen}


def test_people_are_created_as_transactional(mail: Any, tag: Any) -> None:
    """A new person is stored and taggable, never subscribed; every flag that touches consent is sent as such."""
    (outcome,) = tag.create_people(mail, [Person("New@example.com", {"first_name": "Nu", "last_name": None})])

    assert Outcome(Ref("new@example.com"), Verdict.DONE) == outcome
    assert {"new@example.com": "transactional"} == mail.sandbox.statuses()
    assert {
        "members": [{"email_address": "New@example.com", "status": "transactional", "merge_fields": {"FNAME": "Nu"}}],
        "sync_tags": False,
        "update_existing": False,
    } == mail.recorder.bodies()[-1]
    assert ("skip_merge_validation", "true") in mail.recorder.seen[-1][2]


def test_creating_tells_failures_apart(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """200 with errors inside: there already, forgotten, fake, and one of whom nothing is said."""
    respx_mock.post(f"{BASE}/lists/a6b5da1054").respond(**Payload("batch_subscribe_partial").kwargs)
    asked = ["ann@example.com", "bo@example.com", "gone@example.com", "test@example.com", "lost@example.com"]
    outcomes = tag.create_people(fake_api("mailchimp", SETTINGS), [Person(who) for who in asked])

    assert [
        (asked[0], Verdict.DONE), (asked[1], Verdict.NOOP), (asked[2], Verdict.SUPPRESSED), (asked[3], Verdict.REJECTED),
        (asked[4], Verdict.RETRY),
    ] == verdicts(outcomes)  # fmt: skip
    assert not any("@" in outcome.reason for outcome in outcomes)


def test_creates_500_at_most_in_a_call(mail: Any, tag: Any) -> None:
    """The vendor's limit."""
    outcomes = tag.create_people(mail, [Person(f"p{i}@example.com") for i in range(1001)])

    assert [500, 500, 1] == [len(body["members"]) for body in mail.recorder.bodies()]
    assert {Verdict.DONE} == {outcome.verdict for outcome in outcomes}


def test_archived_people_are_known_and_never_brought_back(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 13: creating would un-archive them and forget their opt-out, so `find` knows them and `apply` leaves them."""
    mail.sandbox.load("members", people("ann@example.com", status="archived"))
    found = tag.find(mail, ["Ann@example.com"])
    before = mail.sandbox.writes.total()
    (outcome,) = tag.apply(mail, id_, [Change(found["Ann@example.com"][0])], [])

    assert Verdict.NOT_FOUND is outcome.verdict
    assert before == mail.sandbox.writes.total()
    assert {"ann@example.com": "archived"} == mail.sandbox.statuses()


def test_creating_an_archived_person_would_bring_them_back(mail: Any, tag: Any) -> None:
    """Quirk 13, the harm: what `find` saves us from."""
    mail.sandbox.load("members", people("ann@example.com", status="archived"))
    tag.create_people(mail, [Person("ann@example.com")])

    assert {"ann@example.com": "transactional"} == mail.sandbox.statuses()


def test_finds_by_the_hash_of_the_lowered_address(mail: Any, tag: Any) -> None:
    """Quirk 16: the id of a member is the MD5 of the lower-cased address."""
    mail.sandbox.load("members", people("ann@example.com"))
    found = tag.find(mail, ["ANN@example.com", "nobody@example.com"])

    assert {"ANN@example.com": (Ref("ann@example.com"),)} == found
    assert mail.recorder.seen[0][1].endswith("/members/257c57037d384ae37ea27a07e8a01665")
    assert 2 == mail.sandbox.requests["GET /lists/{list_id}/members/{who}"]


def test_tag_names_compare_without_case_and_whole(mail: Any, tag: Any) -> None:
    """Quirk 11: the search is by prefix and names change case; "VIP" is neither "vip lounge" nor a second tag."""
    lounge = tag.create(mail, "vip lounge", [])
    assert tag.lookup(mail, "VIP") is None
    vip = tag.create(mail, "vIp", [])

    assert (vip, lounge) == (tag.lookup(mail, "VIP"), tag.lookup(mail, "VIP Lounge"))


def test_a_tag_behind_many_of_its_prefix_is_found(mail: Any, tag: Any) -> None:
    """Quirk 11: the search has no pages; what it leaves out is read from the segments, or a second tag would be made."""
    first, *_ = [mail.sandbox.list.make(f"T{i:02}") for i in range(30)]
    last = tag.create(mail, "T", [])

    assert last == tag.lookup(mail, "t")
    assert str(first.id) == tag.lookup(mail, "t00")


def test_a_saved_segment_is_not_a_tag(mail: Any, tag: Any) -> None:
    """Gotcha: the delta call refuses a saved segment, so one is never found."""
    assert tag.lookup(mail, "New subscribers") is None
    with pytest.raises(RejectedError):
        tag.apply(mail, "1", adds("ann@example.com"), [])


def test_a_new_tag_is_made_empty(mail: Any, tag: Any) -> None:
    """Quirk 12: exactly one of `static_segment` and `options`, and nobody in it yet."""
    tag.create(mail, "VIP", refs("ann@example.com"))

    assert [{"name": "VIP", "static_segment": []}] == mail.recorder.bodies()


def test_reads_everybody_with_the_tag(make_mail: Any, tag: Any) -> None:
    """Quirk 9: without the three flags only subscribed people come back, and all others would be added for ever."""
    api = make_mail(tags_unsubscribed=True)
    id_ = tag.create(api, "VIP", [])
    for state in ("subscribed", "unsubscribed", "cleaned", "transactional"):
        api.sandbox.load("members", people(f"{state}@example.com", status=state))
    everybody = set(api.sandbox.statuses())
    tag.apply(api, id_, adds(*everybody), [])

    assert everybody == {ref.remote_id for page in tag.members(api, id_) for ref in page}
    plain = api.get(f"/lists/a6b5da1054/segments/{id_}/members", count=1000)
    assert ["subscribed@example.com"] == [member["email_address"] for member in plain["members"]]


def test_more_than_500_in_a_call_are_refused(mail: Any, tag: Any, id_: str) -> None:
    """The sandbox holds us to the limit that `max_batch` states."""
    assert 500 == tag.max_batch
    with pytest.raises(RejectedError):
        tag.apply(mail, id_, adds(*(f"p{i}@example.com" for i in range(501))), [])


def test_a_tag_that_was_deleted_is_told(mail: Any, tag: Any) -> None:
    """404: the core must look the audience up again, not bury its members."""
    with pytest.raises(NotFoundError):
        tag.apply(mail, "999", adds("ann@example.com"), [])


def test_one_address_that_breaks_the_batch_is_left_to_halving(mail: Any, tag: Any, id_: str) -> None:
    """Quirk 3: a 500 that comes each time is a refusal; halved, the others get through."""
    mail.sandbox.load("members", people("ann@example.com", "bad@example.com"))
    mail.sandbox.breaking.add("bad@example.com")

    with pytest.raises(RejectedError):
        tag.apply(mail, id_, adds("ann@example.com", "bad@example.com"), [])
    with pytest.raises(RejectedError):
        tag.create_people(mail, [Person("bad@example.com")])
    assert [("ann@example.com", Verdict.DONE)] == verdicts(tag.apply(mail, id_, adds("ann@example.com"), []))


def test_a_write_is_not_repeated_behind_our_back(mail: Any, tag: Any, id_: str) -> None:
    """
    A lost answer leaves the intent open: a repeat inside the api would come back as "has the tag already", and a member that
    we tagged would count as somebody else's.
    """
    from core.sandbox import Reset

    mail.sandbox.load("members", people("ann@example.com"))
    mail.served.faults = lambda method, path, number: Reset(act=True) if method == "POST" else None
    with pytest.raises(TransientError) as caught:
        tag.apply(mail, id_, adds("ann@example.com"), [])

    assert caught.value.maybe_acted
    assert 1 == mail.sandbox.writes["POST /lists/{list_id}/segments/{segment_id}"]
    assert frozenset({"ann@example.com"}) == in_tag(mail)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("x@example.com was permanently deleted and cannot be re-imported.", Verdict.SUPPRESSED),
        ("Forgotten Email Not Subscribed", Verdict.SUPPRESSED),
        ("x@example.com is in a compliance state due to unsubscribe", Verdict.SUPPRESSED),
        ("x@example.com looks fake or invalid, please enter a real email address.", Verdict.REJECTED),
        ("Please provide a valid email address.", Verdict.REJECTED),
        ("Something new", None),
    ],
)
def test_reads_what_an_error_says(text: str, verdict: Verdict | None) -> None:
    """Only texts that can be relied on decide; the others leave it to a look at the person."""
    assert verdict is read_refusal(text).verdict
    assert "@" not in read_refusal(text).reason


@pytest.mark.parametrize(("name", "good"), [("VIP", True), ("", False), (" VIP", False), ("x" * 101, False), ("a\nb", False)])
def test_names(tag: Any, name: str, good: bool) -> None:
    """What is wrong with a name is said before any request."""
    assert good is (tag.check_name(name) is None)


def test_a_refusal_hands_on_what_was_said(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """As it came; the core masks it."""
    respx_mock.post(TAG).respond(**Payload("segment_forgotten").kwargs)
    (outcome,) = tag.apply(fake_api("mailchimp", SETTINGS), "123", adds("gone@example.com"), [])

    assert "permanently deleted" in outcome.message
    assert "permanently deleted" not in repr(outcome)


@pytest.mark.parametrize("key", ["members_added", "members_removed"])
def test_an_answer_about_others_tells_nothing_of_ours(respx_mock: Any, fake_api: Any, tag: Any, key: str) -> None:
    """An answer that was given before, to another batch. Taken for ours, it would say that ours had the tag already."""
    answer: dict[str, Any] = {"members_added": [], "members_removed": [], "errors": []}
    respx_mock.post(TAG).respond(json=answer | {key: [{"email_address": "Cy@example.com"}]})

    with pytest.raises(TransientError) as raised:
        tag.apply(fake_api("mailchimp", SETTINGS), "123", adds("ann@example.com"), refs("bo@example.com"))
    assert raised.value.maybe_acted


def test_an_answer_about_another_tag_binds_nothing(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Taken for ours, two syncs would share a tag."""
    respx_mock.post(f"{BASE}/lists/a6b5da1054/segments").respond(json={"id": 5, "name": "Churned"})

    with pytest.raises(TransientError):
        tag.create(fake_api("mailchimp", SETTINGS), "VIP", [])
