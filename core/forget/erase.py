"""
Asks a vendor to erase somebody, where the connector has the word for it and it is ours to ask.

E-mail and analytics tools are asked; where a person's record is the system's own business (CRM, billing, support, surveys)
only `--everywhere` asks, for what goes there is gone for everybody who works with it (decision 0017).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from core.contract import Category, Sought, Verdict
from core.hub import Session
from core.store.forgotten import WORKSPACE
from core.store.traces import Traces

ASKED: Final = frozenset({Category.EMAIL, Category.ANALYTICS})
"""Categories whose vendors are asked without being told to."""
_GONE: Final = (Verdict.DONE, Verdict.NOOP, Verdict.NOT_FOUND, Verdict.SUPPRESSED)
_LATER: Final = (Verdict.SENT, Verdict.PENDING)


def sought(traces: Traces, connection: str) -> Sought:
    """Return what a connection may be asked with: the workspace's identifiers, and its own of each kind."""
    identifiers: dict[str, list[str]] = {}
    for kind, value in sorted(traces.identifiers):
        owner, dot, rest = kind.partition(".")
        if kind in WORKSPACE or (dot and owner == connection):
            identifiers.setdefault(rest if dot else kind, []).append(value)
    records: dict[str, list[str]] = {}
    for owner, stream, _, key in traces.records:
        if owner == connection:
            records.setdefault(stream, []).append(key)
    slices = [slice_ for owner, slice_ in traces.slices if owner == connection]
    return Sought(identifiers, records=records, slices=slices)


def erase_at(session: Session, connection: str, traces: Traces) -> dict[str, Any]:
    """
    Ask one connection; return what it answered: `did` is erased, asked (it will), nothing (nobody to ask for) or refused.

    Raises:
        ConnectorError: as requests do; nothing is known to be done then, and asking again does no harm.
    """
    erase = session.hub.connector(connection).erase
    assert erase is not None
    outcomes = erase(session.api(connection), sought(traces, connection))
    verdicts = Counter(str(outcome.verdict) for outcome in outcomes)
    result: dict[str, Any] = {"verdicts": dict(sorted(verdicts.items()))}
    jobs = sorted({outcome.job for outcome in outcomes if outcome.job})
    reasons = sorted({outcome.reason for outcome in outcomes if outcome.reason})
    if jobs:
        result["jobs"] = jobs
    if reasons:
        result["reasons"] = reasons
    answered = {outcome.verdict for outcome in outcomes}
    if not outcomes:
        result["did"] = "nothing"
    elif answered <= set(_GONE):
        result["did"] = "erased"
    elif answered <= {*_GONE, *_LATER}:
        result["did"] = "asked"
    else:
        result["did"] = "refused"
    return result
