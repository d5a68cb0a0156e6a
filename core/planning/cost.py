"""What a plan will cost: requests, and the time that the vendor's limits make of them. Asks nobody."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch

from core.contract import Limit, Manifest
from core.planning.plan import Plan


def priced(plan: Plan, manifest: Manifest) -> Plan:
    """Return *plan* with the requests it takes and the seconds they need at the permitted pace."""
    audience = plan.target.audience
    put_in = [move for move in plan.moves if move.new is not None]
    taken_out = [entry for move in plan.moves for entry in move.old]
    adds = len(plan.adds) + len(plan.creates) + len(plan.updates) + len(put_in)
    removes = len(plan.removes) + len(taken_out) + plan.strangers
    requests = audience.cost(adds, removes) if adds or removes else 0
    requests += -(-len(plan.creates) // audience.max_batch)
    if plan.draft.bound.row is None and (plan.size or audience.whole) and not plan.whole_held:
        requests += 1
    return replace(plan, requests=requests, seconds=requests * pace_s(manifest, audience.path))


def pace_s(manifest: Manifest, path: str) -> float:
    """Return the seconds from one request to *path* to the next that the vendor's limits make of them."""
    return max((limit.per_s * limit.cost / limit.amount for limit in manifest.limits if _holds(limit, path)), default=0.0)


def _holds(limit: Limit, path: str) -> bool:
    return not limit.paths or any(fnmatch(path, glob) for glob in limit.paths)
