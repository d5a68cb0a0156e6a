"""
Hold the three evaluators together over many random cases: a full evaluation, one brought up to date, and the slow reference.

Prints one JSON object: how many segments were evaluated alike, how many leaves were brought up to date rather than evaluated
whole, and for how many people each word of the language was true and false: in segments of its own, and within random ones.
Exits 1 at the first difference, with its seed, and where a word of the language was never true, or never false: what holds of
nobody, or of everybody, is held to nothing. A few thousand cases are enough for that.

    python bench/agree.py --cases 100000 --minutes 60
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "segments"))

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from livingworld import make_template
from phrases import PHRASES, TEXTS, counts, demanded
from random_traits import BUILT_IN, traits_of
from test_agree import COMPUTED, EXPRESSIONS, joined
from threefold import Told, agree

from core.config.model import Trait

OF_WORDS = 12
"""Segments of a world that are there for one word each."""
WORLDS = 16
"""Worlds of a batch, which one process runs and one seed gives again."""
CASES = 1_800
"""About how many cases a batch comes to."""
SPOKEN = st.recursive(st.sampled_from(TEXTS), joined, max_leaves=3)


@dataclass(frozen=True)
class Batch:
    """What a batch of worlds showed."""

    told: Told
    wrong: str | None = None
    """Where two of the three differed."""


def main() -> int:
    """Run cases until there are enough, and print what they showed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5_000, help="segments to evaluate three ways")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e6, help="end by then, however many were evaluated")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that run batches")
    options = parser.parse_args()
    begun = time.perf_counter()
    told, batches = Told(), 0
    for batch in _batches(options, begun):
        if batch.wrong is not None:
            print(batch.wrong, file=sys.stderr)
            return 1
        told.add(batch.told)
        batches += 1
        print(f"{told.cases} cases, {batches * WORLDS} worlds, {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    counted = counts(told.inside, told.outside)
    never_true = sorted(word for word in demanded() if not counted.get(word, (0, 0))[0])
    never_false = sorted(word for word in demanded() if not counted.get(word, (0, 0))[1])
    nodes = sorted(told.true | told.false)
    figures = {
        "cases": told.cases, "worlds": batches * WORLDS, "brought_up": told.brought_up,
        "seconds": round(time.perf_counter() - begun, 1), "processor_seconds": round(told.processor_s, 1),
        "words": len(demanded()), "never_true": never_true, "never_false": never_false, "true_and_false": counted,
        "true_and_false_within_random_segments": {node: [told.true[node], told.false[node]] for node in nodes},
    }  # fmt: skip
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    return 1 if never_true or never_false else 0


def _batches(options: argparse.Namespace, begun: float) -> Iterator[Batch]:
    """Yield batches as they are done, until there are cases enough or the time is over."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        under_way: set[Future[Batch]] = set()
        begun_batches = ended = cases = 0
        while True:
            over = time.perf_counter() - begun > options.minutes * 60
            each = cases / ended if ended else CASES
            while not over and len(under_way) < options.workers and cases + len(under_way) * each < options.cases:
                under_way.add(pool.submit(_batch, options.seed + begun_batches))
                begun_batches += 1
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for batch in (future.result() for future in done):
                ended += 1
                cases += batch.told.cases
                yield batch


def _batch(seed: int) -> Batch:
    """Run worlds; AssertionError where two evaluators differ is told by its text."""
    told, asked, number = Told(), Counter[str](), seed * 1_000
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = make_template(folder / "template.db")

        @seeded(seed)
        @settings(
            max_examples=WORLDS, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,)
        )
        @given(texts=st.lists(EXPRESSIONS | EXPRESSIONS | COMPUTED | SPOKEN, min_size=8, max_size=16), traits=traits_of())
        def worlds(texts: list[str], traits: dict[str, Trait]) -> None:
            nonlocal number  # not drawn: hypothesis likes the same few numbers, and a number is a world
            if wrong:  # hypothesis asks for the same again, and would have it of another world
                raise AssertionError(wrong[0])
            number += 1
            phrases = _phrases(told, asked)
            asked.update(phrases)
            asking = [*texts, *phrases]
            try:
                told.add(agree(folder / "case.db", template, number, asking, traits | BUILT_IN, rounds=4, count=True))
            except AssertionError as error:
                wrong.append(f"{error}\n{json.dumps({'world': number, 'texts': asking, 'traits': traits}, indent=1)}")
                raise

        begun = time.process_time()
        try:
            worlds()
        except (ExceptionGroup, AssertionError):  # the former because it is raised in two places
            if not wrong:
                raise
            return Batch(told, wrong=f"batch {seed} (--seed {seed} --workers 1): {wrong[0]}")
        told.processor_s = time.process_time() - begun
    return Batch(told)


def _phrases(told: Told, asked: Counter[str]) -> list[str]:
    """Return the segments for words that the next world has: of words that were never true or never false yet, then in turn."""
    counted = counts(told.inside, told.outside)
    lacking = {text for word, texts in PHRASES.items() if not all(counted[word]) for text in texts}
    return sorted(TEXTS, key=lambda text: (text not in lacking, asked[text], TEXTS.index(text)))[:OF_WORDS]


if __name__ == "__main__":
    sys.exit(main())
