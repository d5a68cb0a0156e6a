"""
How much of a vendor's permitted rate a push uses while there is work, and whether any window was ever above it.

The vendor is its own sandbox, which keeps its real limits, and a member costs a request; seconds are real. Arrivals are written
down in front of the sandbox, in its process: what counts is when a request reaches the vendor. With several processes each runs
a sync of its own into an audience of its own, by the real command's code, and all share one store and one connection.

    python bench/rate.py                                       encharge and activecampaign, by one and by two processes
    python bench/rate.py --only encharge --members 300 --processes 2

Exit 1 where less than 95% was used or a window held too many.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.rates import busiest, used
from tables import pushing

WANTED = 0.95
DESTINATIONS = {"encharge": "tag", "activecampaign": "tag"}
"""Those where each member is a request, so that the rate decides."""


def main() -> int:
    """Measure each destination with each number of processes and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=DESTINATIONS, default=list(DESTINATIONS))
    parser.add_argument("--members", type=int, default=300, help="of all processes together")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    found = []
    for name in options.only:
        for processes in options.processes:
            found.append(measure(name, options.members, processes))
            sys.stderr.write(f"{name}, {processes} at once: {found[-1]['limits']}\n")
    fine = all(one["within"] and (one["used"] is None or one["used"] >= WANTED) for each in found for one in each["limits"])
    print(
        json.dumps({"ok": fine and all(each["members_there"] == options.members for each in found), "rates": found}, indent=2)
    )
    return 0 if fine else 1


def measure(name: str, members: int, processes: int) -> dict[str, Any]:
    """Push *members* to one destination, and hold what arrived against each limit."""
    from core.config.load import load_config
    from core.hub import Hub
    from core.pulling.fill import pull_stale
    from core.registry import load_connector
    from core.sandbox import as_settings, serve

    connector = load_connector(name)
    sandbox = connector.sandbox()
    now = datetime.now(UTC)
    sandbox.load("members", _people(members, now))
    arrived: list[tuple[float, str]] = []
    sandbox.app = _noting(sandbox.app, arrived, sandbox.base_path)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rate-")))
        served = stack.enter_context(serve({name: sandbox}))[name]
        config = folder / "tagalong.toml"
        config.write_text(_config(name, DESTINATIONS[name], as_settings(served), processes))
        config.chmod(0o600)
        _write(folder / "people.csv", members, processes)
        with Hub(load_config(config)) as hub, hub.session() as session, hub.store() as store:
            hub.register(store)
            pull_stale(hub, store, fresh=None, no_pull=False, names=None, session=session)
        arrived.clear()
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=push_one, args=(str(config), f"group_{n}")) for n in range(processes)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    there = {who for group in sandbox.audiences().values() for who in group}
    limits = [_held_against(limit, arrived) for limit in connector.manifest.limits]
    return {
        "connector": name, "processes": processes, "members_there": len(there), "requests": len(arrived),
        "seconds": round(arrived[-1][0] - arrived[0][0], 1), "limits": limits,
    }  # fmt: skip


def push_one(config: str, sync: str) -> None:
    """Run one sync, as a process of its own."""
    from core.config.load import load_config
    from core.hub import Hub
    from core.run import sync as run_sync

    with Hub(load_config(Path(config))) as hub:
        report = run_sync(hub, names=[sync], pull=False)
    if str(report.status) != "done":
        sys.exit(f"{sync}: {report.status} {report.syncs[0].error}")


def _held_against(limit: Any, arrived: Sequence[tuple[float, str]]) -> dict[str, Any]:
    times = [at for at, path in arrived if not limit.paths or any(fnmatch(path, glob) for glob in limit.paths)]
    most = busiest(times, limit.per_s)
    # a limit that there was too little work for is kept, and its share says nothing
    busy = len(times) * limit.cost > 10 * limit.amount
    return {
        "limit": f"{limit.amount:g} in {limit.per_s:g} s {','.join(limit.paths)}".strip(),
        "requests": len(times), "busiest": most,
        "within": most * limit.cost <= limit.amount, "used": round(used(times, limit), 3) if busy else None,
    }  # fmt: skip


def _noting(app: Any, arrived: list[tuple[float, str]], base_path: str) -> Any:
    async def noted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            arrived.append((time.time(), scope["path"].removeprefix(base_path)))
        await app(scope, receive, send)

    return noted


def _people(members: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(members):
        yield {
            "id": _address(number), "email": _address(number), "first_name": "P", "last_name": str(number),
            "status": "subscribed", "lifecycle_stage": "customer", "country": "SE", "company_id": None, "created_at": now,
        }  # fmt: skip


def _address(number: int) -> str:
    return f"p{number:07d}@example.com"


def _write(path: Path, members: int, processes: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "email", "part"])
        writer.writerows([f"user-{number}", _address(number), f"part{number % processes}"] for number in range(members))


GROUP = """
[segments.group_{number}]
where = 'file.part == "part{number}"'

[[syncs]]
name = "group_{number}"
segment = "group_{number}"
to = "there"
audience = {{ {kind} = "bench_{number}" }}
guard = {{ adds = 1000000 }}
"""


def _config(name: str, kind: str, settings: Mapping[str, Any], processes: int) -> str:
    groups = "".join(GROUP.format(number=number, kind=kind) for number in range(processes))
    return pushing(name, settings, column="part") + groups


if __name__ == "__main__":
    sys.exit(main())
