"""What is known of a batch that met several faults: whatever may have arrived at any try stays a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from core.contract import Audience, Change, Op, Outcome, Params, Ref, Verdict
from core.errors import AuthError, ProtocolError, RateLimited, RejectedError, TransientError
from core.http.written import note
from core.pushing.send import Item, Sender, Sent
from core.store.intents import Member

LOST, BUSY = TransientError("no answer in time"), RateLimited("too many requests")
UNABLE = RejectedError("not something the vendor can do", status=501)
HTML, REVOKED = ProtocolError("HTML where JSON was due"), AuthError("revoked")


@dataclass(frozen=True)
class Half:
    """Of two requests the first was carried out, and the second came to an error."""

    error: Exception


class Told(Audience):
    """An audience whose every answer is told beforehand."""

    def __init__(self, *answers: Exception | Verdict | Half) -> None:
        super().__init__(Params())
        self.answers = list(answers)

    def apply(self, api: Any, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        answer = self.answers.pop(0)
        if isinstance(answer, Half):
            note("POST")  # as the wire does
            raise answer.error
        if isinstance(answer, Exception):
            raise answer
        return [Outcome(change.ref, answer) for change in adds]


def _sent(*answers: Exception | Verdict | Half, repeat: str = "safe") -> Sent:
    audience: Any = Told(*answers)
    audience.repeat = repeat
    sender = Sender(None, audience, "1", lambda _: None, lambda: True)
    return sender.send([Item(Member(Op.ADD, "a@example.com", profile_id=1, ref=Ref("a@example.com")))])


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param((LOST, BUSY, BUSY), id="lost, then refused for the rate"),
        pytest.param((LOST, REVOKED), id="lost, then refused for the key"),
        pytest.param((LOST, UNABLE), id="lost, then refused as such"),
        pytest.param((HTML,), id="HTML"),
        pytest.param((Verdict.RETRY, HTML), id="not now, then HTML"),
        pytest.param((Verdict.RETRY, LOST, LOST, LOST), id="not now, then lost"),
        pytest.param((Verdict.RETRY, LOST, BUSY, BUSY), id="not now, then lost, then refused for the rate"),
        pytest.param((Verdict.RETRY, LOST, REVOKED), id="not now, then lost, then refused for the key"),
    ],
)
def test_what_may_have_arrived_stays_a_question(answers: Sequence[Exception | Verdict]) -> None:
    """Told as "not sent", a member who did arrive would be "there already" next time, somebody else's, and stay for ever."""
    sent = _sent(*answers)
    assert sent.results == []
    assert sent.error is (LOST if answers[-1] is UNABLE else answers[-1])


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param((BUSY, BUSY, BUSY), id="refused for the rate"),
        pytest.param((REVOKED,), id="refused for the key"),
        pytest.param((Verdict.RETRY, BUSY, BUSY, BUSY), id="not now, then refused for the rate"),
    ],
)
def test_what_never_arrived_is_to_be_sent_again(answers: Sequence[Exception | Verdict]) -> None:
    sent = _sent(*answers)
    assert [Verdict.RETRY] == [outcome.verdict for _, outcome in sent.results]


@pytest.mark.parametrize(
    ("answers", "repeat"),
    [
        pytest.param((Half(BUSY), BUSY, BUSY), "safe", id="refused for the rate"),
        pytest.param((BUSY, Half(BUSY), BUSY), "safe", id="refused for the rate at the second try"),
        pytest.param((Half(REVOKED),), "safe", id="refused for the key"),
        pytest.param((Half(BUSY),), "side_effects", id="refused for the rate, where nothing is sent twice"),
        pytest.param((Half(UNABLE),), "side_effects", id="refused as such, where nothing is sent twice"),
    ],
)
def test_what_was_carried_out_in_part_stays_a_question(answers: Sequence[Exception | Half], repeat: str) -> None:
    """A connector may need several requests for a batch; who was in the first has arrived, whatever became of the second."""
    assert [] == _sent(*answers, repeat=repeat).results


def test_who_has_arrived_before_the_rest_was_refused_is_ours() -> None:
    """They are "there already" when the batch is halved, by our own doing."""
    sent = _sent(Half(BUSY), Verdict.NOOP)
    assert ([Verdict.NOOP], True) == ([outcome.verdict for _, outcome in sent.results], sent.unsure)
    refused = _sent(Half(UNABLE))
    assert ([Verdict.REJECTED], True) == ([outcome.verdict for _, outcome in refused.results], refused.unsure)


def test_what_was_lost_and_then_answered_is_unsure() -> None:
    sent = _sent(LOST, Verdict.NOOP)
    assert [Verdict.NOOP] == [outcome.verdict for _, outcome in sent.results]
    assert sent.unsure
