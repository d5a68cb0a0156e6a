"""What a response means: kinds, labels, whose it is. From recorded answers, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from zigpoll_rows import Payload

from connectors.zigpoll.answers import Who, labelled, rows
from connectors.zigpoll.listing import rows_of
from connectors.zigpoll.polls import Polls, plain, read_slide

WHO = Who(("user_id",), ("email", "customer_email"))
POLLS = Polls(
    {poll["_id"]: plain(poll["title"]) for poll in rows_of(Payload("polls").body)},
    {slide["_id"]: read_slide(slide, slide["_id"]) for slide in rows_of(Payload("slides").body)},
)
ITEMS = Payload("responses").body["data"]


def record(index: int, who: Who = WHO, typed: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a recorded response as the stream hands it on."""
    return labelled({**ITEMS[index], **changes}, POLLS, who, typed)


def told(index: int, **changes: Any) -> list[dict[str, Any]]:
    """Return the values of the rows of a recorded response."""
    named = ("kind", "choice", "text", "number")
    return [{name: row.values[name] for name in named if name in row.values} for row in rows(record(index, **changes))]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        pytest.param(0, {"kind": "choice", "choice": ["Google", "A friend"]}, id="options-by-themselves-not-their-combination"),
        pytest.param(1, {"kind": "choice", "choice": ["Books, films & music"]}, id="a-label-with-commas"),
        pytest.param(2, {"kind": "choice", "choice": ["Google", "A friend"]}, id="only-a-text-of-known-labels"),
        pytest.param(3, {"kind": "choice", "choice": ["An aunt, far away"]}, id="only-a-text-of-something-else"),
        pytest.param(4, {"kind": "score", "number": 9.0}, id="range"),
        pytest.param(5, {"kind": "score", "number": 10.0}, id="range-by-its-value"),
        pytest.param(6, {"kind": "score", "number": 4.0}, id="stars"),
        pytest.param(7, {"kind": "choice", "choice": ["Very"]}, id="satisfaction-that-is-no-number"),
        pytest.param(8, {"kind": "text", "text": "Keep <going>"}, id="typed-with-markup"),
        pytest.param(9, {"kind": "text", "text": "as ever"}, id="any-other-value-type-is-text"),
        pytest.param(10, {"kind": "choice", "choice": ["Taste", "Price", "Speed"]}, id="a-ranking-in-its-order"),
        pytest.param(12, {"kind": "choice", "choice": ["Yes"]}, id="binary"),
        pytest.param(13, {"kind": "text", "text": "ana.typed@example.com"}, id="an-address"),
        pytest.param(14, {"kind": "choice", "choice": ["Red"]}, id="an-image"),
        pytest.param(16, {"kind": "text", "text": "Still here"}, id="of-a-poll-that-is-gone"),
    ],
)  # fmt: skip
def test_each_kind_of_slide(index: int, expected: dict[str, Any]) -> None:
    """Gotcha, combinations: the display text is never counted on where the options themselves are told or known (Quirk 5)."""
    assert [expected] == told(index)


def test_a_matrix_is_a_question_a_line() -> None:
    found = {row.values["question"]: (row.key, row.values["choice"]) for row in rows(record(11))}

    assert {
        "How was it: Delivery": ("66f0a12/Delivery", ["Good"]),
        "How was it: Packing": ("66f0a12/Packing", ["Bad"]),
    } == found


def test_an_empty_answer_is_none() -> None:
    assert [] == told(15)
    assert [] == told(0, response=None, answers=None)


def test_answers_carry_survey_question_and_time() -> None:
    """Quirk 6: titles without their markup."""
    (row,) = rows(record(0))

    assert ("After purchase", "How did you find us?") == (row.values["survey"], row.values["question"])
    assert "2026-08-20T10:11:01.345Z" == row.values["answered_at"]


def test_a_slide_and_a_poll_that_are_gone_are_called_by_their_ids() -> None:
    (row,) = rows(record(16))

    assert ("gonepoll", "gone") == (row.values["survey"], row.values["question"])


def test_a_submission_is_of_one_participant_and_one_poll() -> None:
    assert record(0)["submission"] == record(13)["submission"] == "poll1/part1"
    assert record(0)["submission"] != record(0, pollId="poll2")["submission"]
    assert "66f0a17" == record(16)["submission"]


@pytest.mark.parametrize(
    ("who", "metadata", "user_id", "emails"),
    [
        pytest.param(WHO, {"user_id": "42", "email": "a@example.com"}, "42", ["a@example.com", "t@example.com"], id="metadata"),
        pytest.param(WHO, {"customer_email": "b@example.com"}, None, ["b@example.com", "t@example.com"], id="the-other-key"),
        pytest.param(Who(("uid", "user_id"), ()), {"user_id": 7, "email": "a@b.example.com"}, 7, ["t@example.com"], id="own"),
        pytest.param(WHO, None, None, ["t@example.com"], id="only-typed"),
    ],
)  # fmt: skip
def test_whose_it_is(who: Who, metadata: Any, user_id: object, emails: list[str]) -> None:
    """The operator's keys of the metadata, then its address, then the typed one."""
    respondent = record(0, who, "t@example.com", metadata=metadata)["respondent"]

    assert (user_id, emails) == (respondent["user_id"], respondent["email"])


def test_metadata_stays_as_it_is() -> None:
    """Keys with hyphens; a joined text that is no list."""
    metadata = record(0)["metadata"]

    assert ("https://example.com", "Soap | 32oz, Balm") == (metadata["original-referrer"], metadata["shopify_line_items"])


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("a < b & c", "a < b & c"),
        ("<p>One</p> <p>two</p>", "One two"),
        ("x&nbsp;&amp; y", "x & y"),
        (" a ", "a"),
        (None, ""),
        (7, "7"),
    ],
)
def test_plain(markup: Any, expected: str) -> None:
    assert expected == plain(markup)


def test_the_wording_is_what_answers_are_labelled_and_read_with() -> None:
    """A new title, type or option is a new wording; a new count of votes is not."""
    slides = rows_of(Payload("slides").body)
    voted = {
        at: read_slide({**s, "answers": [{**a, "votes": 99} for a in s["answers"]]}, at) for s in slides if (at := s["_id"])
    }
    assert POLLS.wording == Polls(POLLS.titles, voted).wording
    for changes in ({"title": "New"}, {"type": "range"}, {"answers": []}):
        assert (
            POLLS.wording
            != Polls(POLLS.titles, {**POLLS.slides, "slide1": read_slide({**slides[0], **changes}, "slide1")}).wording
        )
    assert POLLS.wording != Polls({"poll1": "New"}, POLLS.slides).wording
