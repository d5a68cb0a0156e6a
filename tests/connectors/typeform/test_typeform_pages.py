"""Walking a form's answers newest first: no mixing of tokens and dates, nobody left out, every way of breaking off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.surveys import sent
from typeform_rows import form, responses

from core.contract import Page
from core.errors import ProtocolError, RejectedError, TransientError

Pages = Callable[..., list[Page]]
small = pytest.mark.usefixtures("small_pages")


def _tokens(pages: list[Page]) -> list[str]:
    return [record["token"] for page in pages for record in page.records]


def test_a_full_pull_asks_for_full_pages_and_not_for_an_empty_one(survey: Any, pages: Pages, clock: Any) -> None:
    """The default of 25 a page is never relied on; by the first page's count the walk knows its last."""
    api = survey()
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(2300, clock()))
    found = pages(api)

    assert [1000, 1000, 300] == [len(page.records) for page in found]
    assert [f"r{n:05}" for n in range(2300)] == _tokens(found)
    assert [True, True, False] == [page.resume is not None for page in found]
    assert [None, None] == [page.cursor for page in found[:2]]
    assert found[-1].cursor
    asked = api.recorder.asked("/responses")
    assert [{"page_size": "1000"}, *({"page_size": "1000", "before": f"r{n:05}"} for n in (999, 1999))] == asked


@small
def test_tokens_and_dates_are_never_mixed(survey: Any, pages: Pages, clock: Any) -> None:
    """Gotcha, cursor and date mixing: the window is named once, then only tokens; the walk sees itself when it is past it."""
    api = survey()
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(250, clock(), every_s=1))
    cursor = pages(api)[-1].cursor
    clock.advance(timedelta(hours=2))
    api.sandbox.load("responses", sent(150, clock(), first=5000, every_s=1))
    before = len(api.recorder.asked("/responses"))
    found = pages(api, cursor)

    # the window begins an hour before the first pull: the 150 new ones and those of that hour, nothing older
    assert 150 + 250 == len(_tokens(found))
    asked = api.recorder.asked("/responses")[before:]
    assert ["since", *["before"] * (len(asked) - 1)] == [next(name for name in query if name != "page_size") for query in asked]


@small
def test_a_count_that_says_too_little_leaves_nobody_out(survey: Any, pages: Pages, clock: Any) -> None:
    """Quirk 2: an answer that is indexed late, below the last token, is in no count; so a full page is never the last."""
    api = survey()
    api.sandbox.load("surveys", [form()])
    late, *_ = sent(1, clock() - timedelta(seconds=150), first=900)
    api.sandbox.load("responses", sent(200, clock(), every_s=1))
    pull = responses(api).pull(api, None, None, "nps")
    found = [next(pull)]
    api.sandbox.load("responses", [late])
    found += list(pull)

    assert {*(f"r{n:05}" for n in range(200)), "r00900"} == set(_tokens(found))
    assert found[-1].cursor


def test_the_walk_stops_past_the_window(survey: Any, pages: Pages, clock: Any) -> None:
    """Pages by token know no window: what is older than its beginning ends the walk and is not handed on again."""
    api = survey(total_extra=5000)  # so that the count does not end it
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(30, clock() - timedelta(days=1)))
    cursor = pages(api)[-1].cursor
    clock.advance(timedelta(hours=3))
    api.sandbox.load("responses", sent(3, clock(), first=100))
    found = pages(api, cursor)

    assert ["r00100", "r00101", "r00102"] == _tokens(found)
    assert found[-1].cursor


def test_an_empty_last_page_is_the_end(survey: Any, pages: Pages, clock: Any) -> None:
    """Gotcha, IndexError on an empty last page: a count that says too much leads to one, and nothing is said twice."""
    api = survey(total_extra=7)
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(5, clock()))
    found = pages(api)

    assert 5 == len(_tokens(found))
    assert found[-1].resume is None
    assert found[-1].cursor


def test_a_form_without_answers_is_one_request(survey: Any, pages: Pages) -> None:
    """An empty first page is complete, and moves the checkpoint."""
    api = survey()
    api.sandbox.load("surveys", [form()])
    (page,) = pages(api)

    assert ([], None) == (list(page.records), page.resume)
    assert page.cursor


@small
@pytest.mark.parametrize("lost", [1, 40])
def test_answers_deleted_while_they_are_read_hide_no_others(survey: Any, pages: Pages, clock: Any, lost: int) -> None:
    """Quirk 2: the count cannot be reached any more, so the end is made sure of by time."""
    api = survey()
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(220, clock()))
    walk = responses(api).pull(api, None, None, "nps")
    first = next(walk)
    gone = [f"r{n:05}" for n in range(110, 110 + lost)]
    api.sandbox.delete("responses", gone)
    found = [first, *walk]

    assert [f"r{n:05}" for n in range(220) if f"r{n:05}" not in gone] == _tokens(found)


@small
@pytest.mark.parametrize("refused", [True, False])
def test_the_token_itself_deleted_while_it_is_needed(survey: Any, pages: Pages, clock: Any, refused: bool) -> None:
    """Unconfirmed: such a token may be refused, or lead to nothing. Either way nobody is left out in silence."""
    api = survey(unknown_refused=refused)
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(150, clock()))
    walk = responses(api).pull(api, None, None, "nps")
    first = next(walk)
    api.sandbox.delete("responses", ["r00099"])

    if refused:  # the core then starts the form over: core.pulling.pull forgets a resume token that is refused
        with pytest.raises(RejectedError):
            list(walk)
        with pytest.raises(RejectedError):
            pages(api, None, first.resume)
    else:
        assert {f"r{n:05}" for n in range(150)} == set(_tokens([first, *walk]))


@small
def test_many_answers_in_one_second_are_all_read_by_token(survey: Any, pages: Pages, clock: Any) -> None:
    """Times have whole seconds: paging by time alone would stand still here."""
    api = survey()
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(250, clock(), every_s=0))

    assert {f"r{n:05}" for n in range(250)} == set(_tokens(pages(api)))


@small
@pytest.mark.parametrize("page", [0, 1])
def test_a_broken_walk_goes_on_where_it_was(survey: Any, pages: Pages, clock: Any, page: int) -> None:
    """The resume token is the last answer's; what was sent meanwhile waits for the next pull."""
    api = survey()
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(250, clock()))
    begun = pages(api)
    clock.advance(timedelta(minutes=5))
    api.sandbox.load("responses", sent(1, clock(), first=9000))
    rest = pages(api, None, begun[page].resume)

    assert _tokens(begun[page + 1 :]) == _tokens(rest)
    assert begun[-1].cursor == rest[-1].cursor  # of when the walk began, not of when it was taken up


def test_a_resume_token_that_is_none_is_said(survey: Any, pages: Pages) -> None:
    api = survey()
    api.sandbox.load("surveys", [form()])

    with pytest.raises(ProtocolError, match="broken pull"):
        pages(api, None, "whatever")
    with pytest.raises(ProtocolError, match="checkpoint"):
        pages(api, "whatever")


def test_late_answers_are_asked_for_again(survey: Any, pages: Pages, clock: Any) -> None:
    """Answers of the last 30 minutes may be missing: the next pull begins an hour before this one did."""
    api = survey(lag=timedelta(minutes=30))
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(3, clock(), every_s=1500))
    first = pages(api)
    clock.advance(timedelta(minutes=40))
    second = pages(api, first[-1].cursor)

    assert ["r00002"] == _tokens(first)
    assert ["r00000", "r00001", "r00002"] == _tokens(second)
    assert {"page_size": "1000", "since": "2026-03-02T11:00:00"} == api.recorder.asked("/responses")[-1]


def test_a_checkpoint_to_come_is_capped(survey: Any, pages: Pages, clock: Any) -> None:
    """Gotcha, future bookmarks: a clock that was wrong once does not hide what is sent until it is right."""
    api = survey()
    api.sandbox.load("surveys", [form()])
    clock.advance(timedelta(days=400))
    cursor = pages(api)[-1].cursor
    clock.advance(timedelta(days=-400))
    api = survey()  # the next run: of what it is at the vendor nothing was heard yet
    api.sandbox.load("surveys", [form()])
    pages(api, cursor)

    assert "2026-03-02T12:00:00" == api.recorder.asked("/responses")[-1]["since"]


def test_start_bounds_a_full_pull(survey: Any, pages: Pages, clock: Any) -> None:
    api = survey({"start": "2026-03-01"})
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(5, clock(), every_s=43200))

    assert ["r00000", "r00001", "r00002", "r00003"] == _tokens(pages(api))
    assert "2026-03-01T00:00:00" == api.recorder.asked("/responses")[0]["since"]


def test_every_form_is_a_slice_and_none_is_missed_while_the_list_moves(survey: Any, clock: Any) -> None:
    """Quirk 9: a form edited while the list is read jumps to its beginning; left out, it would count as deleted."""
    api = survey()
    api.sandbox.load("surveys", [form(f"f{n:03}", updated_at=clock() - timedelta(days=n + 1)) for n in range(450)])
    stream = responses(api)
    assert stream.slices is not None
    assert {f"f{n:03}" for n in range(450)} == set(stream.slices(api))
    assert ["1", "2", "3"] == [query["page"] for query in api.recorder.asked("/forms")]
    at = api.served.count

    def edit(method: str, path: str, number: int) -> None:
        if number == at + 2:
            api.sandbox.load("surveys", [{"id": "f449"}])

    api.served.faults = edit
    assert {f"f{n:03}" for n in range(450)} == set(stream.slices(api))
    assert at + 6 == api.served.count

    def edit_always(method: str, path: str, number: int) -> None:
        if number % 3 == (at + 2) % 3:
            api.sandbox.load("surveys", [{"id": f"f{400 - number:03}", "updated_at": clock() + timedelta(days=number)}])

    api.served.faults = edit_always
    with pytest.raises(TransientError, match="list of forms"):
        stream.slices(api)
