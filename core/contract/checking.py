"""How most connectors answer `check`: named steps in turn, each an ordinary question; after a failure the rest is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from core.contract.api import CheckStep, Result
from core.errors import ConfigError, ConnectorError, QuotaExhausted

if TYPE_CHECKING:
    from core.contract.api import Api


@dataclass(frozen=True, slots=True)
class Step:
    """One question and what to do where it fails."""

    name: str
    ask: Callable[[Api], str]
    """Asks the vendor and returns what is worth telling ("" for nothing); ConnectorError or ConfigError where it fails."""
    remedy: str
    _: KW_ONLY
    needed: bool = True
    """A step that is not needed fails as skipped, and the following are still tried."""


def check_steps(api: Api, steps: Sequence[Step]) -> Iterator[CheckStep]:
    """Yield what came of each step."""
    failed = False
    for step in steps:
        if failed:
            yield CheckStep(step.name, Result.SKIPPED)
            continue
        try:
            yield CheckStep(step.name, Result.PASSED, detail=step.ask(api))
        except QuotaExhausted as error:
            failed = True
            yield CheckStep(step.name, Result.SKIPPED, detail=str(error))
        except (ConnectorError, ConfigError) as error:
            failed = step.needed
            yield CheckStep(step.name, Result.FAILED if step.needed else Result.SKIPPED, detail=str(error), remedy=step.remedy)
