"""The audience `field`: yes and no by bulk import, settled later, nobody made and nobody subscribed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from activecampaign_rows import BASE, SETTINGS, Payload, adds, ref, refs, settled
from support.members import many, people, verdicts

from connectors.activecampaign.fields import LOOK_SINGLY, Field
from connectors.activecampaign.imports import MAX_BYTES, Job, Row, parts
from connectors.activecampaign.sandbox_state import exclusion
from core.contract import Change, FieldParams, Op, Ref, Verdict
from core.errors import ConfigError, NotFoundError, ProtocolError, RejectedError

IMPORT = "POST /api/3/import/bulk_import"


@pytest.fixture
def id_(mail: Any, field: Any) -> str:
    """A field called Regular, on nobody."""
    made: str = field.create(mail, "Regular", [])
    return made


def yes(mail: Any) -> frozenset[str]:
    found: frozenset[str] = mail.sandbox.audiences()["Regular"]
    return found


def test_yes_and_no_go_in_one_import(mail: Any, field: Any, id_: str) -> None:
    """Both ways at once; pending until the import says what it did."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    settled(mail, field, id_, field.apply(mail, id_, adds(mail, "bo@example.com"), []))
    before = mail.requests.total()
    outcomes = field.apply(mail, id_, adds(mail, "ann@example.com"), refs(mail, "bo@example.com"))
    done = settled(mail, field, id_, outcomes)

    assert [Verdict.PENDING] * 2 == verdicts(outcomes)
    assert [Verdict.DONE] * 2 == verdicts(done)
    assert frozenset({"ann@example.com"}) == yes(mail)
    # asked after once for each of the two here; once is all that it takes
    assert field.cost(1, 1) == mail.requests.total() - before - 1
    assert [("Regular", Op.ADD), ("Regular", Op.ADD), ("Regular", Op.REMOVE)] == [line[:2] for line in mail.sandbox.change_log]


def test_an_import_under_way_is_asked_after_again(make_mail: Any, field: Any, clock: Any) -> None:
    """Asynchronous: nothing is said until it is completed."""
    api = make_mail(import_takes=timedelta(minutes=5))
    api.sandbox.load("members", people("ann@example.com"))
    id_ = field.create(api, "Regular", [])
    (outcome,) = field.apply(api, id_, adds(api, "ann@example.com"), [])
    assert field.settle(api, id_, outcome.job) is None
    assert frozenset() == yes(api)

    clock.advance(timedelta(minutes=6))
    assert {ref(api, "ann@example.com").remote_id: Verdict.DONE} == {
        id_: said.verdict for id_, said in field.settle(api, id_, outcome.job).items()
    }


def test_250_contacts_in_an_import(mail: Any, field: Any, id_: str) -> None:
    """The vendor's limit; more than that are as many imports as it takes, each with its own job."""
    mail.sandbox.load("members", many(300))
    everybody = [Change(Ref(str(number))) for number in mail.sandbox.state.contacts]
    outcomes = field.apply(mail, id_, everybody[:250], [change.ref for change in everybody[250:]])

    assert [250, 50] == [len(body["contacts"]) for body in mail.recorder.bodies("/bulk_import")]
    assert 2 == len({outcome.job for outcome in outcomes})
    assert 250 == field.max_batch
    assert 250 == len(yes(mail))


def test_an_import_keeps_to_its_bytes() -> None:
    """400,000 bytes a body, whatever the addresses are made of."""
    rows = [Row(str(i), f"{'å' * 1000}{i}@example.com", "yes") for i in range(250)]
    made = list(parts(rows, "7"))

    assert rows == [row for part in made for row in part]
    assert 2 == len(made)
    for part in made:
        body = {"contacts": [row.body("7") for row in part], "exclude_automations": True}
        assert len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_BYTES


def test_nobody_is_made_or_subscribed_by_an_import(mail: Any, field: Any, id_: str) -> None:
    """An import makes whoever is not there, so only addresses read just before are sent; and no list is ever named."""
    mail.sandbox.load("members", people("ann@example.com", status="unsubscribed"))
    mail.sandbox.load("members", [*people("bo@example.com", status="transactional"), *people("gone@example.com")])
    asked = [Change(one) for one in refs(mail, "ann@example.com", "bo@example.com", "gone@example.com")]
    mail.sandbox.delete("members", ["gone@example.com"])
    outcomes = field.apply(mail, id_, asked, [asked[2].ref, Ref("999")])

    assert [Verdict.PENDING, Verdict.PENDING, Verdict.NOT_FOUND, Verdict.NOOP, Verdict.NOOP] == verdicts(outcomes)
    assert 2 == len(mail.sandbox.state.contacts)
    assert [{1: 2}, {}] == [contact.lists for contact in mail.sandbox.state.contacts.values()]
    (body,) = mail.recorder.bodies("/bulk_import")
    assert {"email", "fields", "exclude_automations"} == {name for contact in body["contacts"] for name in contact}
    assert {"contacts", "exclude_automations"} == body.keys()


@pytest.mark.parametrize("excludes_by", ["contact", "payload"])
def test_no_automation_runs(make_mail: Any, field: Any, excludes_by: str) -> None:
    """Quirk 16: the switch is sent in both places, for no page says which one counts."""
    api = make_mail(excludes_by=excludes_by)
    api.sandbox.load("members", people("ann@example.com"))
    field.apply(api, field.create(api, "Regular", []), adds(api, "ann@example.com"), [])

    assert set() == api.sandbox.automated


def test_an_address_changed_meanwhile_is_used_as_it_is_now(mail: Any, field: Any, id_: str) -> None:
    """The contact is known by id; the import goes by address."""
    mail.sandbox.load("members", people("old@example.com"))
    asked = adds(mail, "old@example.com")
    mail.sandbox.load("members", [{"id": "old@example.com", "email": "New@example.com"}])
    field.apply(mail, id_, asked, [])

    assert frozenset({"new@example.com"}) == yes(mail)
    assert 1 == len(mail.sandbox.state.contacts)


def test_one_bad_row_rejects_all_and_is_left_to_halving(mail: Any, field: Any, id_: str) -> None:
    """Quirk 15: nothing of the request is queued; alone, the others go through."""
    mail.sandbox.load("members", people("ann@example.com", "broken-address"))
    with pytest.raises(RejectedError):
        field.apply(mail, id_, adds(mail, "ann@example.com", "broken-address"), [])
    assert frozenset() == yes(mail)

    assert [Verdict.PENDING] == verdicts(field.apply(mail, id_, adds(mail, "ann@example.com"), []))
    with pytest.raises(RejectedError):
        field.apply(mail, id_, adds(mail, "broken-address"), [])


def test_a_refusal_of_an_import_as_recorded(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """The recorded answer, which quotes nobody in what we say of it."""
    respx_mock.get(f"{BASE}/fields/7").respond(json={"field": {"id": "7"}})
    respx_mock.get(url__startswith=f"{BASE}/contacts").respond(json={"contacts": [{"id": "1", "email": "x@example.com"}]})
    respx_mock.post(f"{BASE}/import/bulk_import").respond(**Payload("import_bad_row").kwargs)

    with pytest.raises(RejectedError) as caught:
        field.apply(fake_api("activecampaign", SETTINGS), "7", [Change(Ref("1"))], [])
    assert "@" not in str(caught.value)


@pytest.mark.parametrize("names_skipped", [True, False])
def test_whoever_an_import_leaves_out_is_never_done(make_mail: Any, field: Any, names_skipped: bool) -> None:
    """Quirk 17: people on the exclusion list are skipped; told among the failed, or nowhere."""
    api = make_mail(names_skipped=names_skipped)
    api.sandbox.load("members", people("ann@example.com", "bo@example.com", "cy@example.com"))
    id_ = field.create(api, "Regular", [])
    settled(api, field, id_, field.apply(api, id_, adds(api, "cy@example.com"), []))
    api.sandbox.state.exclusions += [exclusion(8, "bo@example.com"), exclusion(9, "cy@example.com")]
    asked = field.apply(api, id_, adds(api, "ann@example.com", "bo@example.com"), refs(api, "cy@example.com"))
    outcomes = settled(api, field, id_, asked)

    left_out = Verdict.REJECTED if names_skipped else Verdict.SUPPRESSED
    assert [Verdict.DONE, left_out, Verdict.REJECTED] == verdicts(outcomes)
    assert frozenset({"ann@example.com", "cy@example.com"}) == yes(api)


@pytest.mark.parametrize(("count", "verdict"), [(LOOK_SINGLY, Verdict.DONE), (LOOK_SINGLY + 5, Verdict.SENT)])
def test_an_import_that_names_nobody(make_mail: Any, field: Any, count: int, verdict: Verdict) -> None:
    """Quirk 17: a few are looked at; of many it is only known that they are not among the failed."""
    api = make_mail(names_succeeded=False)
    api.sandbox.load("members", many(count))
    id_ = field.create(api, "Regular", [])
    outcomes = field.apply(api, id_, [Change(Ref(str(number))) for number in api.sandbox.state.contacts], [])

    said = field.settle(api, id_, outcomes[0].job)
    assert {verdict} == {outcome.verdict for outcome in said.values()}
    assert count == len(said)


def test_somebody_deleted_while_an_import_ran(make_mail: Any, field: Any) -> None:
    """Not found, whatever the import says of others."""
    api = make_mail(names_succeeded=False)
    api.sandbox.load("members", people("ann@example.com"))
    id_ = field.create(api, "Regular", [])
    (outcome,) = field.apply(api, id_, adds(api, "ann@example.com"), [])
    api.sandbox.delete("members", ["ann@example.com"])

    (said,) = field.settle(api, id_, outcome.job).values()
    assert Verdict.NOT_FOUND is said.verdict


def test_ids_succeed_and_addresses_fail(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """Quirk 17: `success` lists ids, `failure` addresses, as recorded."""
    respx_mock.get(url__startswith=f"{BASE}/import/info").respond(**Payload("import_info").kwargs)
    cy = {"id": "3", "email": "cy@example.com", "deleted": "0"}
    respx_mock.get(url__startswith=f"{BASE}/contacts").respond(json={"contacts": [cy]})
    job = Job("0641fbdd-f62f-4c2c-ba02-3a83d5d11ac9", {"1": "yes", "2": "no", "3": "yes"}).dump()
    said = field.settle(fake_api("activecampaign", SETTINGS), "7", job)

    assert {"1": Verdict.DONE, "2": Verdict.DONE, "3": Verdict.REJECTED} == {id_: one.verdict for id_, one in said.items()}


@pytest.mark.parametrize(
    ("body", "said"),
    [({"status": "waiting"}, None), ({"status": "active", "success": ["1"]}, None), ({"status": "Failed"}, Verdict.SUPPRESSED)],
)
def test_other_statuses_of_an_import(respx_mock: Any, fake_api: Any, field: Any, body: Any, said: Any) -> None:
    """Only "completed" is documented: anything else is under way, unless it sounds like an end; then everybody is looked at."""
    respx_mock.get(url__startswith=f"{BASE}/import/info").respond(json=body)
    if said is not None:
        respx_mock.get(f"{BASE}/contacts/1/fieldValues").respond(json={"fieldValues": []})
        ann = {"id": "1", "email": "ann@example.com"}
        respx_mock.get(f"{BASE}/contacts?ids%5B%5D=1&limit=100").respond(json={"contacts": [ann]})
    answer = field.settle(fake_api("activecampaign", SETTINGS), "7", Job("b", {"1": "yes"}).dump())

    assert said == (answer["1"].verdict if answer else None)


@pytest.mark.parametrize("body", [{}, [], {"status": "completed", "success": "1"}])
def test_an_answer_that_says_nothing_is_a_protocol_error(respx_mock: Any, fake_api: Any, field: Any, body: Any) -> None:
    """Neither done nor lost."""
    respx_mock.get(url__startswith=f"{BASE}/import/info").respond(json=body)
    with pytest.raises(ProtocolError):
        field.settle(fake_api("activecampaign", SETTINGS), "7", Job("b", {"1": "yes"}).dump())


@pytest.mark.parametrize(
    ("body", "error"), [({"success": 0}, RejectedError), ({"Success": 1}, ProtocolError), ([], ProtocolError)]
)
def test_an_import_that_is_not_said_to_be_queued(respx_mock: Any, fake_api: Any, field: Any, body: Any, error: Any) -> None:
    """The answer spells Success with a capital, the refusal without; without a batch there is nothing to ask after."""
    respx_mock.get(f"{BASE}/fields/7").respond(json={"field": {"id": "7"}})
    respx_mock.get(url__startswith=f"{BASE}/contacts").respond(json={"contacts": [{"id": "1", "email": "x@example.com"}]})
    respx_mock.post(f"{BASE}/import/bulk_import").respond(json=body)

    with pytest.raises(error):
        field.apply(fake_api("activecampaign", SETTINGS), "7", [Change(Ref("1"))], [])


def test_a_field_that_is_gone_is_told_before_an_import(mail: Any, field: Any) -> None:
    """An import into nothing may well succeed; no page says."""
    mail.sandbox.load("members", people("ann@example.com"))
    with pytest.raises(NotFoundError):
        field.apply(mail, "999", adds(mail, "ann@example.com"), [])
    with pytest.raises(NotFoundError):
        next(field.members(mail, "999"))
    assert 0 == mail.sandbox.writes[IMPORT]


@pytest.mark.parametrize("field_answer", ["field", "fields"])
def test_a_new_field_is_text_and_shown_everywhere(make_mail: Any, field: Any, field_answer: str) -> None:
    """Quirk 18: the answer may be the field or the list of all; a field that is of no list is not shown."""
    api = make_mail(field_answer=field_answer)
    made = field.create(api, "Regular", [])

    assert made == field.lookup(api, "regular")
    assert "text" == api.sandbox.state.fields[int(made)]["type"]
    assert {(int(made), 0)} == api.sandbox.state.related


def test_the_answer_to_a_new_field_as_recorded(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """Quirk 18: the published example is the list of all fields."""
    respx_mock.post(f"{BASE}/fields").respond(**Payload("field_created").kwargs)
    respx_mock.get(url__startswith=f"{BASE}/fields").respond(json=Payload("field_created").body)
    relation = respx_mock.post(f"{BASE}/fieldRels").respond(201, json={"fieldRel": {"id": "1"}})

    assert "2" == field.create(fake_api("activecampaign", SETTINGS), "Regular", [])
    assert {"fieldRel": {"field": 2, "relid": 0}} == json.loads(relation.calls[0].request.content)


def test_a_field_of_that_title_is_taken(mail: Any, field: Any, id_: str) -> None:
    """One that somebody made meanwhile; and a date is no yes or no."""
    assert id_ == field.create(mail, "Regular", [])
    mail.sandbox.state.fields[99] = {"title": "Birthday", "type": "date"}
    with pytest.raises(RejectedError, match="cannot say yes or no"):
        field.lookup(mail, "Birthday")


def test_reads_whoever_says_yes(mail: Any, field: Any, id_: str) -> None:
    """Page by page; no is not yes."""
    mail.sandbox.load("members", many(230))
    for contact in mail.sandbox.state.contacts.values():
        mail.sandbox.state.set_value(contact, int(id_), "no" if contact.email.startswith("p0000") else "yes")

    assert 229 == len({one.remote_id for page in field.members(mail, id_) for one in page})


def test_an_ignored_filter_does_not_make_members(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """Quirk 7: values of other fields, and other values, are nobody's yes."""
    rows = [
        {"contact": "1", "field": "7", "value": "yes"},
        {"contact": "2", "field": "8", "value": "yes"},
        {"contact": "3", "field": "7", "value": "no"},
    ]
    respx_mock.get(f"{BASE}/fields/7").respond(json={"field": {"id": "7"}})
    respx_mock.get(url__startswith=f"{BASE}/fieldValues").respond(json={"fieldValues": rows, "meta": {"total": "3"}})

    assert [[Ref("1")]] == list(field.members(fake_api("activecampaign", SETTINGS), "7"))


def _carrying(**params: Any) -> Field:
    return Field(FieldParams(fields={"LEAD_SCORE": "lead_score", "Tier": "tier"}, **params))


def _values(mail: Any, address: str) -> dict[str, str]:
    """Return what a contact's custom fields hold, by title."""
    titles = {id_: made["title"] for id_, made in mail.sandbox.state.fields.items()}
    return {titles[id_]: value for id_, value in mail.sandbox.state.by_email(address).values.items()}


def test_values_go_with_the_yes_and_leave_with_the_no(mail: Any, id_: str) -> None:
    """In the same import; the fields are made once; a missing value is taken away, and all of them from who leaves."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    field = _carrying()
    ann, bo = ref(mail, "ann@example.com"), ref(mail, "bo@example.com")
    changes = [Change(ann, {"lead_score": 40.0, "tier": "gold"}), Change(bo, {"lead_score": 1.5, "tier": None})]
    settled(mail, field, id_, field.apply(mail, id_, changes, []))

    assert {"Regular": "yes", "LEAD_SCORE": "40", "Tier": "gold"} == _values(mail, "ann@example.com")
    assert {"Regular": "yes", "LEAD_SCORE": "1.5", "Tier": ""} == _values(mail, "bo@example.com")
    assert 1 == len(mail.recorder.bodies("/bulk_import"))
    assert ["Regular", "LEAD_SCORE", "Tier"] == [made["title"] for made in mail.sandbox.state.fields.values()]

    settled(mail, field, id_, field.apply(mail, id_, [], [ann]))
    keeping = _carrying(leavers="keep")
    settled(mail, keeping, id_, keeping.apply(mail, id_, [], [bo]))

    assert {"Regular": "no", "LEAD_SCORE": "", "Tier": ""} == _values(mail, "ann@example.com")
    assert {"Regular": "no", "LEAD_SCORE": "1.5", "Tier": ""} == _values(mail, "bo@example.com")
    assert 3 == len(mail.sandbox.state.fields)


def test_a_field_that_takes_only_some_values_is_not_written(mail: Any, id_: str) -> None:
    """Nothing is sent to anybody: a text would be refused there, or kept as something else."""
    mail.sandbox.load("members", people("ann@example.com"))
    mail.sandbox.state.fields[99] = {"title": "Tier", "type": "dropdown"}
    with pytest.raises(ConfigError, match="'Tier' is a dropdown"):
        _carrying().apply(mail, id_, [Change(ref(mail, "ann@example.com"), {"lead_score": 1.0, "tier": "gold"})], [])

    assert [] == mail.recorder.bodies("/bulk_import")


def test_values_are_not_written_where_the_field_itself_is_gone(mail: Any, id_: str) -> None:
    """As without values: the core asks whether the audience is still there."""
    mail.sandbox.load("members", people("ann@example.com"))
    del mail.sandbox.state.fields[int(id_)]
    with pytest.raises(NotFoundError):
        _carrying().apply(mail, id_, [Change(ref(mail, "ann@example.com"), {})], [])
