"""What a plan for one audience is made of, as `core.pushing.prepare` hands it over."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime

from pyroaring import BitMap

from core.clock import to_us
from core.config.countries import ASK_NOBODY, ConsentRules
from core.contract import Category
from core.planning.delay import NOBODY, Stays
from core.planning.guards import Held
from core.pushing import reach
from core.pushing.bind import Bound
from core.pushing.targets import Target, Turnover


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a plan for one audience is made of."""

    target: Target
    bound: Bound
    _: KW_ONLY
    as_of: datetime
    wanted: BitMap
    excluded: BitMap = field(default_factory=BitMap)
    """Whom the workspace's `exclude` kept out of the set."""
    changed: BitMap = field(default_factory=BitMap)
    """Profiles of which anything changed since the audience's last plan."""
    consent: ConsentRules = ASK_NOBODY
    """Where a yes is needed."""
    category: Category = Category.CRM
    """Of the destination: e-mail tools do not get people who said no."""
    turnover: Turnover = field(default_factory=Turnover)
    first_run: bool = False
    held: tuple[Held, ...] = ()
    memory: reach.Memory = field(default_factory=dict)
    """What the destination was asked for in this run, for this sync or another."""
    stays: Stays = NOBODY
    """Who is not removed yet, or not added yet since they stay in another group."""
    changed_since: BitMap = field(default_factory=BitMap)
    """Who may be somebody else, or other than they were, since *wanted* was found out: neither added nor removed."""
    definition: str = ""
    """Hash of the set's text."""

    @property
    def at(self) -> int:
        """Microseconds since 1970."""
        return to_us(self.as_of)
