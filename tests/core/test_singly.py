"""A batch done one by one: what is known stays known, and an error is neither lost nor taken for an outcome."""

from __future__ import annotations

import pytest

from core.contract import Outcome, Ref, Verdict, one_by_one
from core.errors import AuthError, ProtocolError, TransientError


def _task(name: str, raises: Exception | None = None):
    def act() -> Outcome:
        if raises is not None:
            raise raises
        return Outcome(Ref(name), Verdict.DONE)

    return Ref(name), act


def test_all_go_well():
    """In the order given; nobody is nobody."""
    assert [] == one_by_one([])
    assert [("a", Verdict.DONE), ("b", Verdict.DONE)] == [
        (outcome.ref.remote_id, outcome.verdict) for outcome in one_by_one([_task("a"), _task("b")])
    ]


def test_an_error_of_the_first_is_raised():
    """Nothing was done, and the core knows what to do about it."""
    with pytest.raises(AuthError):
        one_by_one([_task("a", AuthError("no")), _task("b")])


def test_an_error_in_the_middle_keeps_what_is_known():
    """Who comes after it is not asked for; all who are left are tried again, and then the error is the first one's."""
    asked: list[str] = []

    def last() -> Outcome:
        asked.append("c")
        return Outcome(Ref("c"), Verdict.DONE)

    outcomes = one_by_one([_task("a"), _task("b", AuthError("revoked")), (Ref("c"), last)])

    assert [Verdict.DONE, Verdict.RETRY, Verdict.RETRY] == [outcome.verdict for outcome in outcomes]
    assert [] == asked


@pytest.mark.parametrize("maybe_acted", [True, False])
def test_after_a_lost_answer_the_core_is_told(maybe_acted: bool):
    """Tried again without a word, a member that we put in would come back as "was so already", and count as somebody else's."""
    tasks = [_task("a"), _task("b", TransientError("lost", maybe_acted=maybe_acted))]
    if maybe_acted:
        with pytest.raises(TransientError):
            one_by_one(tasks)
    else:
        assert [Verdict.DONE, Verdict.RETRY] == [outcome.verdict for outcome in one_by_one(tasks)]


def test_after_an_answer_that_cannot_be_understood_the_core_is_told():
    """A page of HTML from somewhere in between: the request may well have been carried out before it."""
    with pytest.raises(ProtocolError):
        one_by_one([_task("a"), _task("b", ProtocolError("HTML where JSON was due"))])


def test_what_is_no_error_of_a_vendor_is_a_bug():
    """And is not hidden behind a verdict."""
    with pytest.raises(ValueError, match="bug"):
        one_by_one([_task("a"), _task("b", ValueError("bug"))])
