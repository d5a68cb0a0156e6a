"""`tagalong sync` killed between each two of its steps, then run once to the end: lists are right, and nobody moved twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from killing import Order, Play, Victims


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    with Victims() as opened:
        yield opened


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(Order("pull.page_stored", 3), Order("pull.page_stored", 9), id="a page is stored"),
        pytest.param(Order("push.intent_written", 9), Order("push.intent_written", 7), id="an intent is written"),
        pytest.param(
            Order("push.request_sent", 12),
            Order("push.request_sent", 12, linger_s=0.1),
            id="a batch is sent, its answer unread",
        ),
        pytest.param(Order("push.answer_read", 5), Order("push.answer_read", 11), id="an answer is read"),
        pytest.param(Order("push.outcome_settled", 15), Order("push.outcome_settled", 4), id="an outcome is settled"),
        pytest.param(
            Order("make.request_sent", 3, linger_s=0.1), Order("pull.answer_read", 6), id="an audience is made; a page is read"
        ),
    ],
)
def test_a_run_after_a_kill_puts_everything_right(tmp_path: Path, victims: Victims, first: Order, second: Order) -> None:
    with ExitStack() as stack:
        play = Play(tmp_path, victims)
        play.open(stack)
        _kill_and_judge(play, first)
        play.live_a_week()
        _kill_and_judge(play, second)


def test_a_week_may_pass_before_the_next_start(tmp_path: Path, victims: Victims) -> None:
    with ExitStack() as stack:
        play = Play(tmp_path, victims)
        play.open(stack)
        assert play.run(Order("push.request_sent", 30, linger_s=0.1)).killed
        play.live_a_week()
        _kill_and_judge(play, Order("push.outcome_settled", 2))


def _kill_and_judge(play: Play, order: Order) -> None:
    ended = play.run(order)
    assert ended.killed, f"{order.point} was passed {ended.passed.get(order.point or '')} times\n{play.output.read_text()}"
    verdict = play.judge(play.run())
    assert verdict.wrong == [], play.output.read_text()
    assert verdict.needless == []
    assert verdict.moved > 0
