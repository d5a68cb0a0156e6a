"""What a response means: labels, kinds, whose it is. From recorded answers, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from typeform_rows import Payload

from connectors.typeform.answers import Who, key, labelled, rows
from connectors.typeform.forms import read_form

WHO = Who(("user_id",), ("email",), ())
FORM = read_form(Payload("form").body)


def record(index: int, who: Who = WHO, **changes: Any) -> dict[str, Any]:
    """Return a recorded response as the stream hands it on."""
    return labelled({**Payload("responses").body["items"][index], **changes}, FORM, who)


VALUES = {
    row.values["question"]: {k: v for k, v in row.values.items() if k in ("kind", "choice", "text", "number", "measure")}
    for row in rows(record(0))
}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How likely are you to recommend us?", {"kind": "score", "number": 9, "measure": "nps"}),
        ("How is the support?", {"kind": "score", "number": 4}),
        ("How hard was it?", {"kind": "score", "number": 7}),
        ("How many seats?", {"kind": "number", "number": 12.5}),
        ("Which cities?", {"kind": "choice", "choice": ["Tokyo", "Rome", "Visby"]}),
        ("Why?", {"kind": "choice", "choice": ["Price"]}),
        ("Are you happy?", {"kind": "boolean", "number": True}),
        ("Your work address", {"kind": "text", "text": "ana.work@example.com"}),
        ("Anything else?", {"kind": "text", "text": "Keep going"}),
        ("Since when?", {"kind": "text", "text": "2020-01-31"}),
        ("Your site?", {"kind": "text", "text": "https://www.example.com"}),
        ("Your number?", {"kind": "text", "text": "+46700000000"}),
        ("The fee", {"kind": "number", "number": 12.5}),
        ("An old question", {"kind": "text", "text": "as ever"}),
    ],
)  # fmt: skip
def test_each_type_of_answer(question: str, expected: dict[str, Any]) -> None:
    """The type names the key of the value; a group's questions are questions; a choice is its label."""
    assert expected == VALUES[question]


def test_a_file_is_an_address_that_nobody_follows() -> None:
    """Gotcha: file answers are API URLs that need the token; the text is kept, and no request is ever made of it."""
    assert VALUES["A screenshot?"]["text"].startswith("https://api.typeform.com/forms/lT4Z3j/responses/")


def test_answers_carry_survey_and_time() -> None:
    row = next(iter(rows(record(0))))

    assert ("Product feedback", "2026-03-14T22:38:22Z") == (row.values["survey"], row.values["answered_at"])


def test_questions_that_are_no_longer_in_the_form() -> None:
    """Quirk 10: what the answer says itself, else the ref; an NPS question stays one for `nps`."""
    assert {"kind": "score", "number": 10, "measure": "nps"} == VALUES["old-nps"]
    assert {"kind": "text", "text": "was here"} == VALUES["old_text"]
    named = record(
        0, answers=[{"field": {"id": "x", "title": "Still told", "type": "short_text"}, "type": "text", "text": "y"}]
    )
    assert ["Still told"] == [row.values["question"] for row in rows(named)]


def test_an_unknown_type_of_answer_is_no_row_and_stays_in_the_record() -> None:
    assert not any("hologram" in str(value) for value in VALUES.values())
    assert {"x": 1} == record(0)["answers"][-1]["holograms"]


def test_nps_is_the_last_row() -> None:
    """Quirk 12: in a survey called NPS a rating counts too, and of answers sent at one time the last row is the latest."""
    types = [row.values["question"] for row in rows(record(0))]

    assert {"How likely are you to recommend us?", "old-nps"} == set(types[-2:])


@pytest.mark.parametrize("changes", [{"answers": None}, {"answers": []}, {}])
def test_empty_answers(changes: dict[str, Any]) -> None:
    """Gotcha, empty `answers`: null, an empty list and no key at all are a response without answers."""
    item = {k: v for k, v in Payload("responses").body["items"][1].items() if k != "answers"}
    made = labelled({**item, **changes}, FORM, WHO)

    assert [] == list(rows(made))
    assert "lT4Z3j/2" == key(made)


def test_a_form_never_sent_is_no_answer() -> None:
    """Quirk 6: the year 1 is no time, and what was never sent was not answered."""
    made = record(3)

    assert made["submitted_at"] is None
    assert [] == list(rows(made))


def test_a_response_without_token_has_its_id() -> None:
    """The published types know only `response_id`."""
    assert "lT4Z3j/3" == key(record(2))
    assert [["My boss"]] == [row.values["choice"] for row in rows(record(2))]


def test_keys_are_of_form_and_token() -> None:
    """Quirk 4: a token is unique only within its form."""
    other = labelled(Payload("responses").body["items"][0], read_form({**Payload("form").body, "id": "other"}), WHO)

    assert key(record(0)) != key(other)


@pytest.mark.parametrize(
    ("who", "user_id", "emails"),
    [
        pytest.param(WHO, "42", ["ana@example.com", "ana.work@example.com"], id="hidden-fields-first-then-the-only-question"),
        pytest.param(
            Who(("uid", "user_id"), (), ()), "42", ["ana.work@example.com"], id="the-first-hidden-field-that-is-there"
        ),
        pytest.param(Who(("plan",), ("nope",), ("work_email",)), "pro", ["ana.work@example.com"], id="a-question-by-its-ref"),
        pytest.param(Who((), ("email",), ("other",)), None, ["ana@example.com"], id="only-the-questions-named"),
    ],
)
def test_whose_it_is(who: Who, user_id: str | None, emails: list[str]) -> None:
    """Hidden fields that the operator chose come before what was typed."""
    respondent = record(0, who)["respondent"]

    assert (user_id, emails) == (respondent["user_id"], respondent["email"])


def test_of_two_questions_for_addresses_none_is_taken_for_ones_own() -> None:
    """Quirk 11: a friend's address would give the friend this answer. With refs configured it is told."""
    body = Payload("form").body
    body["fields"].append({"id": "friend", "ref": "friend", "title": "Whom should we invite?", "type": "email"})
    form = read_form(body)
    item = Payload("responses").body["items"][0]
    item["answers"].append(
        {"field": {"id": "friend", "ref": "friend", "type": "email"}, "type": "email", "email": "bo@example.com"}
    )

    assert ["ana@example.com"] == labelled(item, form, WHO)["respondent"]["email"]
    assert ["ana.work@example.com"] == labelled(item, form, Who((), (), ("work_email",)))["respondent"]["email"]


def test_the_wording_is_what_answers_are_labelled_with() -> None:
    """A new text is a new wording; a new choice or description is not."""
    body = Payload("form").body
    body["fields"][0]["properties"]["choices"].append({"id": "c", "ref": "c", "label": "Oslo"})
    assert FORM.wording == read_form(body).wording
    body["fields"][1]["title"] = "Would you recommend us?"
    assert FORM.wording != read_form(body).wording
    assert FORM.wording != read_form({**Payload("form").body, "title": "Feedback"}).wording
