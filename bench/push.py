"""
What it takes to add N members at each destination, and to change 100 of them: requests, and time at the vendor's rate.

Each destination is its own sandbox, loaded with N people; a file says who they are. The real sync pushes them, once all of them
and once more with half of the changes leaving and half coming. Requests are counted by the sandbox; the time is what these
requests take at the rate that the manifest keeps. Beside them stands the least that the vendor's batch sizes allow, by its
card: what is more than that went into finding people, making the audience and reading it.

    python bench/push.py                                    every destination, 100,000 members
    python bench/push.py --members 2000 --only mailchimp encharge
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tables import lines, pushing

CHANGES = 100
A_REQUEST = {
    ("activecampaign", "tag"): 1, ("activecampaign", "field"): 250,
    ("amplitude", "cohort"): 100_000, ("amplitude", "field"): 1000,
    ("encharge", "tag"): 1,
    ("hubspot", "list"): 100_000,
    ("mailchimp", "tag"): 500,
    ("mixpanel", "field"): 2000,
    ("salesforce", "campaign"): 100_000,
    ("segment", "field"): 2500,
    ("zoho_crm", "tag"): 500,
}  # fmt: skip
"""Members that one request can add, by the vendor's card."""


def main() -> None:
    """Measure each destination in a process of its own, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", help="connectors; all destinations if left out")
    parser.add_argument("--one", nargs=2, metavar=("CONNECTOR", "KIND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, kind = options.one
        print(json.dumps(measure(name, kind, options.members)))
        return
    found = []
    for connector, kind in destinations():
        if options.only and connector not in options.only:
            continue
        command = [sys.executable, __file__, "--members", str(options.members), "--one", connector, kind]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        sys.stderr.write(f"{connector} {kind}: {found[-1]['add']['requests']} requests\n")
    print(json.dumps({"members": options.members, "changes": CHANGES, "destinations": found}, indent=2))


def destinations() -> Iterator[tuple[str, str]]:
    """Yield each kind of audience of each connector that speaks HTTP."""
    from core.registry import connector_names, load_connector

    for name in connector_names():
        connector = load_connector(name)
        if connector.manifest.hosts:
            for kind in connector.audiences:
                yield name, kind


def measure(name: str, kind: str, members: int) -> dict[str, Any]:
    """Return what it took at one destination."""
    from core.cli.catalogue import limit_in_words
    from core.config.load import load_config
    from core.hub import Hub
    from core.registry import load_connector
    from core.sandbox import as_settings, serve

    connector = load_connector(name)
    limits, sandbox = connector.manifest.limits, _loaded(connector, members)
    # the rate is reckoned afterwards, not waited for
    vars(connector.module)["MANIFEST"] = replace(connector.manifest, limits=())
    result: dict[str, Any] = {"connector": name, "audience": kind, "limits": [limit_in_words(limit) for limit in limits]}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="push-")))
        served = stack.enter_context(serve({name: sandbox}))[name]
        config = folder / "tagalong.toml"
        config.write_text(_config(name, kind, as_settings(served), sandbox.params(kind)))
        config.chmod(0o600)
        hub = stack.enter_context(Hub(load_config(config)))
        _write(folder / "people.csv", members, shift=0)
        _pull(hub)
        result["pull_requests"] = sandbox.requests.total()
        for step, shift, size in (("add", 0, members), ("change", CHANGES // 2, CHANGES)):
            _write(folder / "people.csv", members, shift=shift)
            result[step] = {"least": _least(step, size, A_REQUEST[name, kind])} | _pushed(hub, sandbox, limits)
        there: frozenset[str] = next(iter(sandbox.audiences().values()), frozenset())
        result["members_there"] = len(there)
    return result


def _loaded(connector: Any, members: int) -> Any:
    """Return a sandbox that knows everybody, as whichever of the neutral shapes it takes."""
    sandbox, now = connector.sandbox(rate_factor=1e9), datetime.now(UTC)
    for what in ("people", "members", "users"):
        with suppress(KeyError):
            sandbox.load(what, _people(what, members, now))
    return sandbox


def _pull(hub: Any, names: Sequence[str] | None = None) -> None:
    from core.pulling.fill import pull_stale

    with hub.session() as session, hub.store() as store:
        hub.register(store)
        pull_stale(hub, store, fresh=None, no_pull=False, names=names, session=session)


def _pushed(hub: Any, sandbox: Any, limits: Sequence[Any]) -> dict[str, Any]:
    """Have the file of people read and the destination brought in step with it; return what that took."""
    from core import run

    before, began = Counter(sandbox.requests), time.monotonic()
    _pull(hub, ["file"])
    report = run.sync(hub, pull=False)
    took = Counter(sandbox.requests)
    took.subtract(before)
    spent = +took
    return {
        "requests": spent.total(), "by_endpoint": dict(spent),
        "at_the_rate_s": round(_at_the_rate(spent, limits, sandbox.base_path), 1),
        "seconds_here": round(time.monotonic() - began, 1), "statuses": [str(one.status) for one in report.syncs],
    }  # fmt: skip


def _least(step: str, size: int, a_request: int) -> int:
    """Return the fewest requests for so many: all coming, or half coming and half leaving; one call does both where it can."""
    if step == "change":
        return -(-size // 2 // a_request) if a_request > 1 else size
    return -(-size // a_request)


def _at_the_rate(spent: Mapping[str, int], limits: Sequence[Any], base_path: str) -> float:
    """Return how long *spent* takes where every limit is used to the full, a burst first: the slowest limit decides."""
    longest = 0.0
    for limit in limits:
        counted = sum(n for name, n in spent.items() if _covers(limit.paths, name, base_path))
        longest = max(longest, (counted * limit.cost - limit.amount) / limit.amount * limit.per_s)
    return longest


def _covers(globs: Sequence[str], name: str, base_path: str) -> bool:
    path = re.sub(r"\{\w+\}", "x", name.partition(" ")[2].removeprefix(base_path))
    return not globs or any(fnmatch(path, glob) for glob in globs)


def _people(what: str, members: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the people as a sandbox is loaded with them; the last few are there to come with the changes."""
    for number in range(members + CHANGES):
        id_ = {"people": str(1_000_000 + number), "members": _address(number), "users": _user(number)}[what]
        yield {
            "id": id_, "email": _address(number), "first_name": "P", "last_name": str(number), "status": "subscribed",
            "lifecycle_stage": "customer", "country": "SE", "company_id": None, "created_at": now,
        }  # fmt: skip


def _address(number: int) -> str:
    return f"p{number:07d}@example.com"


def _user(number: int) -> str:
    return f"user-{number:07d}"


def _write(path: Path, members: int, *, shift: int) -> None:
    """Say who there is; members are those from *shift* on, as many as there are to be."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "email", "chosen"])
        for number in range(members + CHANGES):
            writer.writerow([_user(number), _address(number), "yes" if shift <= number < members + shift else "no"])


SYNC = """
[segments.all]
title = "All"
where = 'file.chosen == "yes"'

[[syncs]]
segment = "all"
to = "there"
audience = {{ {kind} = "bench_all" }}
{params}
"""


def _config(name: str, kind: str, settings: Mapping[str, Any], params: Mapping[str, object]) -> str:
    return pushing(name, settings, column="chosen") + SYNC.format(kind=kind, params=lines(params))


if __name__ == "__main__":
    main()
