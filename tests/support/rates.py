"""How fast requests arrived, held against a vendor's limit: for tests and for `bench/rate.py`."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from core.contract import Limit


def busiest(arrived: Sequence[float], per_s: float) -> int:
    """Return the most requests that any window of *per_s* seconds holds."""
    times = sorted(arrived)
    return max((bisect.bisect_left(times, at + per_s) - index for index, at in enumerate(times)), default=0)


def used(arrived: Sequence[float], limit: Limit) -> float:
    """
    Return the share of the permitted requests that were made while there was work, from the first to the last.

    The permitted ones are a burst, and from then on as many as come free. What a burst at the very end leaves unused of its own
    window is nobody's loss, so the last window is left out.
    """
    times = sorted(arrived)
    end = times[-1] - limit.per_s
    counted = [at for at in times if at <= end]
    if len(counted) < 2:
        raise ValueError("too little work to tell")
    permitted = limit.amount / limit.cost * (1 + (counted[-1] - times[0]) / limit.per_s)
    return len(counted) / permitted
