"""
Evaluate many segments over many people and events, cold: indexes are there, no bitmap is kept. Prints one JSON object.

    python bench/evaluate.py --profiles 50000 --events 1000000 --segments 50
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from world import make_definitions, make_store, segment_texts

from core.segments.evaluate import evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store


def main() -> None:
    """Make the store (or take the one given), evaluate, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=50_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--segments", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", type=Path, help="keep the store here, and take it from here if it is there already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "bench.db"
        begun = time.perf_counter()
        if not path.exists():
            make_store(path, options.profiles, options.events)
        made = time.perf_counter()
        definitions = make_definitions(path, segment_texts(options.segments))
        with Store(path) as store:
            ensure_indexes(store, definitions)
        indexed = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = []
        members = 0
        for _ in range(options.rounds):
            with Store(path) as store:
                start = time.perf_counter()
                result = evaluate(store, definitions, as_of=datetime.now(UTC))
                seconds.append(time.perf_counter() - start)
            members = sum(len(people) for people in result.sets.values())
            if result.failed:
                raise SystemExit(f"not evaluated: {result.failed}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        database = path.stat().st_size
    figures = {
        "profiles": options.profiles, "events": options.events, "segments": options.segments, "cores": os.cpu_count(),
        "make_seconds": round(made - begun, 1), "index_seconds": round(indexed - made, 1),
        "seconds": round(min(seconds), 3), "records_per_s": round((options.profiles + options.events) / min(seconds)),
        "seconds_of_each_round": [round(s, 3) for s in seconds], "memberships": members,
        "peak_rss_mb": round(peak / 1024), "rss_before_mb": round(before / 1024), "database_mb": round(database / 1e6),
    }  # fmt: skip
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
