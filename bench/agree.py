"""
Hold the three evaluators together over many random cases: a full evaluation, one brought up to date, and the slow reference.

Prints one JSON object: how many segments were evaluated alike, how many leaves were brought up to date rather than evaluated
whole, and for how many people each word of the language was true and false: in segments of its own, and within random ones.
Exits 1 at the first difference, with its seed.

    python bench/agree.py --cases 100000 --minutes 60
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "segments"))

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from livingworld import make_template
from phrases import TEXTS, counts
from random_traits import BUILT_IN, traits_of
from test_agree import COMPUTED, EXPRESSIONS
from threefold import Told, agree

PHRASES = 6
"""Segments of a world that are there for one word each."""


def main() -> None:
    """Run cases until there are enough, and print what they showed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000, help="segments to evaluate three ways")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e6, help="end by then, however many were evaluated")
    options = parser.parse_args()
    begun = time.perf_counter()
    told, worlds = Told(), 0
    with tempfile.TemporaryDirectory() as folder:
        template = make_template(Path(folder) / "template.db")
        while told.cases < options.cases and time.perf_counter() - begun < options.minutes * 60:
            part = Told()
            worlds += _run(Path(folder), template, part, options.seed + worlds, options.cases - told.cases)
            told.add(part)
            print(f"{told.cases} cases, {worlds} worlds, {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    counted = counts(told.inside, told.outside)
    nodes = sorted(told.true | told.false)
    figures = {
        "cases": told.cases, "worlds": worlds, "brought_up": told.brought_up, "seconds": round(time.perf_counter() - begun, 1),
        "never_true": [word for word, (true, _) in counted.items() if not true],
        "never_false": [word for word, (_, false) in counted.items() if not false],
        "true_and_false": counted,
        "true_and_false_within_random_segments": {node: [told.true[node], told.false[node]] for node in nodes},
    }  # fmt: skip
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def _run(folder: Path, template: Path, told: Told, seed: int, wanted: int) -> int:
    """Run a batch of worlds; return how many there were."""
    worlds = 0

    @seeded(seed)
    @settings(
        max_examples=max(20, min(50, wanted // 60)), deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )  # fmt: skip
    @given(
        number=st.integers(0, 2**32), texts=st.lists(EXPRESSIONS | EXPRESSIONS | COMPUTED, min_size=8, max_size=16),
        traits=traits_of(),
    )  # fmt: skip
    def batch(number: int, texts: list[str], traits: dict[str, str]) -> None:
        nonlocal worlds
        phrases = [TEXTS[((seed + worlds) * PHRASES + n) % len(TEXTS)] for n in range(PHRASES)]  # each word in its turn
        worlds += 1
        told.add(agree(folder / "case.db", template, number, [*texts, *phrases], traits | BUILT_IN, rounds=4, count=True))

    batch()
    return worlds


if __name__ == "__main__":
    main()
