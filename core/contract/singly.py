"""For vendors that take one member a request: a batch done one by one, in which what is known stays known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.contract.audiences import Outcome, Ref, Verdict
from core.errors import ConnectorError, ProtocolError, TransientError


def one_by_one(tasks: Sequence[tuple[Ref, Callable[[], Outcome]]]) -> list[Outcome]:
    """
    Return what each of *tasks* gives, in order.

    An error of the first is raised, and so is one after which nobody knows whether the vendor acted (an answer that is none of
    the vendor's among them): the core has to know that.
    Any other that comes later ends the batch: those before keep their outcomes, and whoever is left is to be tried again, when
    an error that is there to stay is the first one's.
    """
    outcomes: list[Outcome] = []
    for _, act in tasks:
        try:
            outcomes.append(act())
        except ConnectorError as error:
            doubt = isinstance(error, ProtocolError) or (isinstance(error, TransientError) and error.maybe_acted)
            if doubt or not outcomes:
                raise
            break
    return outcomes + [Outcome(ref, Verdict.RETRY, reason="not reached") for ref, _ in tasks[len(outcomes) :]]
