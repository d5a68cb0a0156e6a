"""
`tagalong sync` killed between each two of its steps, then run once to the end: lists are right, and nobody moved twice.

Each story is a first sync and one a week later, each killed at another point; `bench/kills.py` kills at all the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from killing import Order, Play, Victims

PAGE_STORED, INTENT_WRITTEN, REQUEST_SENT = "pull.page_stored", "push.intent_written", "push.request_sent"
ANSWER_READ, OUTCOME_SETTLED, AUDIENCE_ASKED_FOR = "push.answer_read", "push.outcome_settled", "make.request_sent"
LONG_ENOUGH_S = 0.1
"""For a vendor to act on a request, while nobody reads its answer."""


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    with Victims() as opened:
        yield opened


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(Order(PAGE_STORED, 3), Order(OUTCOME_SETTLED, 4), id="page stored, then outcome settled"),
        pytest.param(
            Order(INTENT_WRITTEN, 9),
            Order(REQUEST_SENT, 12, linger_s=LONG_ENOUGH_S),
            id="intent written, then request sent",
        ),
        pytest.param(Order(ANSWER_READ, 5), Order(PAGE_STORED, 9), id="answer read, then page stored"),
        pytest.param(
            Order(AUDIENCE_ASKED_FOR, 3, linger_s=LONG_ENOUGH_S),
            Order(INTENT_WRITTEN, 7),
            id="audience asked for, then intent written",
        ),
    ],
)
def test_a_run_after_a_kill_puts_everything_right(tmp_path: Path, victims: Victims, first: Order, second: Order) -> None:
    with ExitStack() as stack:
        play = Play(tmp_path, victims)
        play.open(stack)
        _kill(play, first)
        _judge(play)
        play.live_a_week()
        _kill(play, second)
        _judge(play)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # who was on the way may be called otherwise by then, or wanted no more
        pytest.param(Order(REQUEST_SENT, 30, linger_s=LONG_ENOUGH_S), Order(ANSWER_READ, 2), id="while sending"),
        # what was read before the kill is a week old when the rest is read
        pytest.param(Order(PAGE_STORED, 3), None, id="while pulling"),
    ],
)
def test_a_week_may_pass_before_the_next_start(tmp_path: Path, victims: Victims, first: Order, second: Order | None) -> None:
    with ExitStack() as stack:
        play = Play(tmp_path, victims)
        play.open(stack)
        _kill(play, first)
        play.live_a_week()
        if second is not None:
            _kill(play, second)
        _judge(play)


def _kill(play: Play, order: Order) -> None:
    ended = play.run(order)
    assert ended.killed, f"{order.point} was passed {ended.passed.get(order.point or '')} times\n{play.output.read_text()}"


def _judge(play: Play) -> None:
    verdict = play.judge(play.run())
    assert verdict.wrong == [], play.output.read_text()
    assert verdict.needless == []
    assert verdict.moved > 0
