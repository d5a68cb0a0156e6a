"""
One batch over the wire: halved until a refused member stands alone, sent again where that is harmless, one verdict a member.

Runs in a worker thread and touches no store. What it cannot know it says: a member without an outcome stays an open intent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from core.contract import Api, Audience, Change, Op, Outcome, Ref, Verdict
from core.errors import AuthError, NotFoundError, QuotaExhausted, RejectedError, TransientError
from core.http.written import counting
from core.store.intents import Member

TRIES: Final = 3
BACKOFF_S: Final = (1.0, 4.0)


class AudienceGone(RejectedError):  # noqa: N818 - a state of the world
    """The audience itself is no longer at the destination."""


@dataclass(frozen=True, slots=True)
class Item:
    """A member of a batch and, for an add, what it carries."""

    member: Member
    change: Change | None = None


@dataclass(slots=True)
class Sent:
    """What is known after a batch: outcomes by position, and what stopped it."""

    items: Sequence[Item]
    outcomes: list[Outcome | None]
    _: KW_ONLY
    unsure: bool = False
    """Some may have been sent twice."""
    error: Exception | None = None
    results: list[tuple[Member, Outcome]] = field(default_factory=list)

    def close(self) -> Sent:
        """Gather what is known."""
        self.results = [
            (item.member, outcome) for item, outcome in zip(self.items, self.outcomes, strict=True) if outcome is not None
        ]
        return self


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends batches to one audience."""

    api: Api
    audience: Audience
    remote_id: str
    sleep: Callable[[float], None]
    exists: Callable[[], bool]
    """Asks whether the audience is still there."""

    def send(self, items: Sequence[Item]) -> Sent:
        """Send a batch; never raises what the vendor or the connector does."""
        sent = Sent(items, [None] * len(items))
        try:
            self._halving(sent, range(len(items)))
            self._retrying(sent)
        except Exception as error:
            sent.error = error
            if not sent.unsure and _never_arrived(error):  # after an earlier try who has no answer stays a question
                self._nothing_happened(sent)
        return sent.close()

    def _nothing_happened(self, sent: Sent) -> None:
        for i, item in enumerate(sent.items):
            sent.outcomes[i] = sent.outcomes[i] or Outcome(item.member.ref, Verdict.RETRY, reason="not sent")

    def _halving(self, sent: Sent, places: Sequence[int]) -> None:
        try:
            self._once(sent, places)
        except RejectedError as error:
            if isinstance(error, AudienceGone):
                raise
            if isinstance(error, NotFoundError) and not self.exists():
                raise AudienceGone("the audience is no longer there", status=error.status, code=error.code) from error
            if len(places) == 1:
                item = sent.items[places[0]]
                sent.outcomes[places[0]] = Outcome(item.member.ref, Verdict.REJECTED, reason=_reason(error), message=error.said)
                return
            middle = len(places) // 2
            self._halving(sent, places[:middle])
            self._halving(sent, places[middle:])

    def _once(self, sent: Sent, places: Sequence[int]) -> None:
        """Send some members in one call, again after a passing fault where that does no harm."""
        adds = [i for i in places if sent.items[i].member.op is Op.ADD]
        removes = [i for i in places if sent.items[i].member.op is Op.REMOVE]
        changes = [sent.items[i].change or Change(sent.items[i].member.ref) for i in adds]
        refs = [sent.items[i].member.ref for i in removes]
        maybe: TransientError | None = None
        for tried in range(TRIES):
            try:
                outcomes = self._applied(sent, changes, refs)
                break
            except RejectedError as error:
                if maybe is not None:  # that this try was refused says nothing of the one before
                    raise maybe from error
                if sent.unsure and self.audience.repeat != "safe":
                    raise TransientError("some of the batch was carried out before the rest was refused") from error
                raise
            except TransientError as error:
                acted = error.maybe_acted or sent.unsure
                maybe = error if acted else maybe
                harmless = self.audience.repeat == "safe" or not acted
                if tried + 1 == TRIES or not harmless:
                    raise
                sent.unsure = acted
                self.sleep(error.retry_after_s or BACKOFF_S[tried])
        if len(outcomes) != len(places):
            raise ValueError(f"{type(self.audience).__name__}.apply gave {len(outcomes)} outcomes for {len(places)} members")
        for i, outcome in zip((*adds, *removes), outcomes, strict=True):
            sent.outcomes[i] = outcome

    def _applied(self, sent: Sent, changes: Sequence[Change], refs: Sequence[Ref]) -> list[Outcome]:
        """Have the connector act; where it fails after some of it was carried out, nobody knows of whom."""
        with counting() as written:
            try:
                return list(self.audience.apply(self.api, self.remote_id, changes, refs))
            except Exception:
                sent.unsure = sent.unsure or written.requests > 0
                raise

    def _retrying(self, sent: Sent) -> None:
        """Ask again for those of whom the vendor said "not now"."""
        for wait_s in BACKOFF_S:
            again = [i for i, outcome in enumerate(sent.outcomes) if outcome is not None and outcome.verdict is Verdict.RETRY]
            if not again:
                return
            self.sleep(wait_s)
            before = [sent.outcomes[i] for i in again]
            try:
                self._halving(sent, again)
            except Exception as error:
                # the answer before stands unless this request, or an earlier try of it, may have changed it
                stands = not sent.unsure and (_never_arrived(error) or isinstance(error, RejectedError))
                for i, outcome in zip(again, before, strict=True):
                    sent.outcomes[i] = outcome if stands else None
                raise


def _never_arrived(error: Exception) -> bool:
    """Whether it is certain that the vendor did nothing: it refused to listen, or was not reached."""
    if isinstance(error, TransientError):
        return not error.maybe_acted
    return isinstance(error, AuthError | QuotaExhausted)


def _reason(error: RejectedError) -> str:
    return error.code or (f"status {error.status}" if error.status else "refused")
