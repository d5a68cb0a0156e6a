"""
When a request is sent again: only what is harmless to repeat, a bounded number of times (tenacity).

Harmless is what repeats by its method (GET, HEAD, PUT, DELETE), what the connector says is (`repeat=True`), and whatever the
vendor certainly did not carry out (no connection was made, or it asked for patience).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception

from core.errors import AuthError, ConnectorError, QuotaExhausted, RejectedError, TransientError

T = TypeVar("T")

HARMLESS: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
TRIES: Final = 5
AUTH_TRIES: Final = 3
"""Of a request whose refusal may pass (`AuthError.may_pass`)."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
PATIENCE_S: Final = 600.0
"""Who is asked to wait longer than this does not sit and wait: the connection is paused, and resumes by itself."""


class Repeater:
    """Sends a request until it is answered, refused, or given up on."""

    def __init__(self, sleep: Callable[[float], None], rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._harmless = self._retrying(sleep, _soon)
        self._careful = self._retrying(sleep, lambda error: _soon(error) and not error.maybe_acted)

    def _retrying(self, sleep: Callable[[float], None], worth_it: Callable[[Any], bool]) -> Retrying:
        again = retry_if_exception(lambda error: _may_pass(error) or worth_it(error))
        return Retrying(stop=_enough, retry=again, wait=self._wait_s, sleep=sleep, reraise=True)

    def __call__(self, send: Callable[[], T], *, harmless: bool, writes: bool = False) -> T:
        """
        Return what *send* gives; its last error once the tries are used up.

        A request that *writes* and may have been carried out stays so, though a later try was not even sent, or the vendor's
        front (501) knew nothing of it.
        """
        try:
            return send()  # nearly always: who counts tries, and sleeps, has nothing to do then
        except ConnectorError as error:
            first: ConnectorError | None = error
        maybe: TransientError | None = None

        def tried() -> T:
            nonlocal maybe, first
            error, first = first, None
            try:
                if error is not None:
                    raise error
                return send()
            except TransientError as error:
                maybe = error if error.maybe_acted else maybe
                raise
            except (AuthError, QuotaExhausted, RejectedError) as error:
                if maybe is not None and writes and not _may_pass(error) and not _looked_into(error):
                    raise maybe from error
                raise

        return (self._harmless if harmless else self._careful)(tried)

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError) and error.retry_after_s is not None:
            return error.retry_after_s  # exactly as long as the vendor asks
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**state.attempt_number)
        return self._rng.uniform(ceiling / 2, ceiling)


def _enough(state: RetryCallState) -> bool:
    refused = state.outcome is not None and _may_pass(state.outcome.exception())
    return state.attempt_number >= (AUTH_TRIES if refused else TRIES)


def _looked_into(error: ConnectorError) -> bool:
    """Whether the vendor refused a request for what it asks: it would say the same of one that it has carried out already."""
    return isinstance(error, RejectedError) and (error.status is None or error.status < httpx.codes.INTERNAL_SERVER_ERROR)


def _may_pass(error: BaseException | None) -> bool:
    return isinstance(error, AuthError) and error.may_pass  # a refusal is never carried out


def _soon(error: BaseException) -> bool:
    return isinstance(error, TransientError) and (error.retry_after_s or 0) <= PATIENCE_S
