"""
Evaluate many segments over many people and events: cold (indexes are there, no leaf is kept), then again after 10,000 new
events and 1,000 changed people, held against a full evaluation bit for bit. Words that are evaluated whole each time are timed
apart. Where duckdb is installed (`make bench-install`) twelve segments are asked of it too, by queries over Parquet.

Prints one JSON object. Seconds are of the wall and, beside it, of the processor, for a machine that others use too.

    python bench/evaluate.py --profiles 50000 --events 1000000
    python bench/evaluate.py                     # 1,000,000 people and 20,000,000 events: minutes to make, 5 GB on disk
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parent))

from asked import segment_texts, whole_texts
from beside import beside
from changing import change
from world import AS_OF, make_definitions, make_store, sizes_of

from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation, evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store

T = TypeVar("T")


def main() -> None:
    """Make the store (or take the one given), evaluate, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--segments", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3, help="how often something changes")
    parser.add_argument("--new-events", type=int, default=10_000)
    parser.add_argument("--changed", type=int, default=1_000, help="people who change each time")
    parser.add_argument("--minutes", type=int, default=15, help="how far the clock goes on each time")
    parser.add_argument("--store", type=Path, help="keep the store here, and take it from here if it is there already")
    parser.add_argument("--no-duckdb", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "bench.db"
        begun = time.perf_counter()
        if not path.exists():  # in a process of its own: its memory is not the evaluation's
            making = multiprocessing.get_context("spawn").Process(
                target=make_store, args=(path, options.profiles, options.events)
            )
            making.start()
            making.join()
        made = time.perf_counter() - begun
        print(json.dumps({"cores": os.cpu_count(), "make_seconds": round(made, 1)} | _figures(path, options), indent=2))


def _figures(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    definitions = make_definitions(path, segment_texts(options.segments))
    with Store(path) as store:
        _, indexed = _timed(lambda: ensure_indexes(store, definitions))
    clock = AS_OF + timedelta(days=_days(path))
    cold, cold_seconds = _evaluated(path, definitions, clock, reuse=False)
    again, rounds = cold, []
    for number in range(options.rounds):
        clock += timedelta(minutes=options.minutes)
        with Store(path) as store:
            change(store, clock, events=options.new_events, people=options.changed, seed=number)
        again, seconds = _evaluated(path, definitions, clock)
        rounds.append(seconds | {"brought_up": again.brought_up})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    full, full_seconds = _evaluated(path, definitions, clock, reuse=False)
    differing = [name for name in full.sets if full.sets[name] != again.sets[name]]
    figures = sizes_of(path) | {
        "segments": options.segments, "index": indexed,
        "cold": cold_seconds, "changed": rounds, "full_again": full_seconds, "same_bits": not differing, "differing": differing,
        "memberships": sum(len(people) for people in full.sets.values()), "peak_rss_mb": round(peak / 1024),
        "database_mb": round(path.stat().st_size / 1e6), "whole": _whole(path, clock),
    }  # fmt: skip
    return figures | ({} if options.no_duckdb else {"duckdb": beside(path, clock)})


def _days(path: Path) -> int:
    """Return how many days the clock stands beyond the last evaluation that the store was used for."""
    with Store(path) as store:
        (kept,) = store.conn.execute("SELECT as_of FROM kept_state").fetchone()
        (last,) = store.conn.execute("SELECT max(finished_at) FROM streams").fetchone()
    return 0 if kept is None else max(0, (kept - last) // 86_400_000_000) + 1


def _timed(work: Callable[[], T]) -> tuple[T, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, {
        "seconds": round(time.perf_counter() - wall, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
    }


def _evaluated(
    path: Path, definitions: Definitions, clock: Any, *, reuse: bool = True, keep: bool = True
) -> tuple[Evaluation, dict[str, float]]:
    with Store(path) as store:
        found, seconds = _timed(lambda: evaluate(store, definitions, as_of=clock, keep=keep, reuse=reuse))
    if found.failed:
        raise SystemExit(f"not evaluated: {found.failed}")
    return found, seconds


def _whole(path: Path, clock: Any) -> dict[str, dict[str, float]]:
    """Time each of the words that hang on more than one person's rows."""
    found = {}
    for name, text in whole_texts().items():
        definitions = make_definitions(path, [text])
        found[name] = _evaluated(path, definitions, clock, reuse=False, keep=False)[1]
    return found


if __name__ == "__main__":
    main()
