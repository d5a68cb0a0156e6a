"""
Explain many segments to many people over one store: how long one `explain` takes. Prints one JSON object.

    python bench/explain.py --profiles 200000 --events 4000000 --segments 100 --people 20

The people are the one with the most events, and others by chance. Also timed: reading the definitions, which a command does
once, and evaluating the same segments in full, which is what an explain is not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from asked import segment_texts
from world import AS_OF, make_definitions, make_store, sizes_of

from core.clock import from_us
from core.segments.definitions import Definitions
from core.segments.evaluate import evaluate
from core.segments.explain import explain
from core.segments.indexes import ensure_indexes
from core.store import Store

Answers = dict[tuple[str, int], bool | None]
"""By set and person."""


def main() -> None:
    """Make the store (or take the one given), explain, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=200_000)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--segments", type=int, default=100)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--store", type=Path, help="keep the store here, and take it from here if it is there already")
    parser.add_argument("--check", action="store_true", help="evaluate in full, too, and compare")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "bench.db"
        if not path.exists():
            make_store(path, options.profiles, options.events)
        begun = time.perf_counter()
        definitions = make_definitions(path, segment_texts(options.segments))
        read = time.perf_counter()
        people, clock = _whom(path, definitions, options.people)
        answers, seconds, work = _explained(path, definitions, people, clock)
        wrong = _wrong(path, definitions, clock, answers) if options.check else None
        sizes = sizes_of(path)
    every = sorted(s for several in seconds.values() for s in several)
    figures = sizes | {
        "segments": options.segments, "cores": os.cpu_count(),
        "explained": len(every), "members": sum(bool(a) for a in answers.values()),
        "median_ms": round(1000 * statistics.median(every), 1), "p99_ms": round(1000 * every[int(len(every) * 0.99)], 1),
        "slowest_ms": round(1000 * every[-1], 1), "busiest_slowest_ms": round(1000 * max(seconds[people[0]]), 1),
        "slowest_processor_ms": round(1000 * max(work), 1),
        "definitions_ms": round(1000 * (read - begun), 1), "wrong": wrong,
    }  # fmt: skip
    print(json.dumps(figures, indent=2))
    if wrong:
        raise SystemExit(1)


def _whom(path: Path, definitions: Definitions, count: int) -> tuple[list[int], datetime]:
    """Return so many people, the busiest first, and a time that is after all that happened."""
    with Store(path) as store:
        ensure_indexes(store, definitions)
        # as the store makes it with a stream's landing table
        store.conn.execute("CREATE INDEX IF NOT EXISTS crm__contacts__profile ON crm__contacts (profile_id)")
        (busiest,) = store.conn.execute("SELECT profile_id FROM events GROUP BY 1 ORDER BY count(*) DESC LIMIT 1").fetchone()
        (latest,) = store.conn.execute("SELECT max(time) FROM events").fetchone()  # of a store that something happened in
        (last,) = store.conn.execute("SELECT max(id) FROM profiles").fetchone()
    chance = random.Random(1)
    return [busiest, *(chance.randrange(1, last + 1) for _ in range(count - 1))], max(AS_OF, from_us(latest))


def _explained(
    path: Path, definitions: Definitions, people: list[int], clock: datetime
) -> tuple[Answers, dict[int, list[float]], list[float]]:
    """Return whether each is in each set, the seconds that each explanation took, by person, and the processor's."""
    seconds: dict[int, list[float]] = {}
    work: list[float] = []
    answers: Answers = {}
    for who in people:
        for name in definitions.sets:
            with Store(path, read_only=True) as store:
                start, worked = time.perf_counter(), time.process_time()
                answers[name, who] = explain(store, definitions, name, who, as_of=clock).member
                seconds.setdefault(who, []).append(time.perf_counter() - start)
                work.append(time.process_time() - worked)
    return answers, seconds, work


def _wrong(path: Path, definitions: Definitions, clock: datetime, answers: Answers) -> int:
    with Store(path) as store:
        found = evaluate(store, definitions, as_of=clock).sets
    return sum((who in found[name]) != answer for (name, who), answer in answers.items())


if __name__ == "__main__":
    main()
