"""
Hold evaluations brought up to date against full ones in worlds whose process dies, step by step.

Each world pulls page by page, resolves, evaluates, changes its config, and now and then is gone at a commit, before it or
after. Prints one JSON object; exit 1 where the two answers differ, with the seed and the steps.

    python bench/kept.py --worlds 500 --seed 1
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

from livingworld import make_template
from mortal import Mortal


def main() -> int:
    """Let worlds live, and print what they showed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--steps", type=int, default=40, help="what happens in each")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.perf_counter()
    figures = {"worlds": 0, "steps": 0, "kills": 0, "brought_up": 0}
    wrong: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        template = make_template(Path(folder) / "template.db")
        for seed in range(options.seed, options.seed + options.worlds):
            path = Path(folder) / "case.db"
            for name in ("", "-wal", "-shm"):
                path.with_name(path.name + name).unlink(missing_ok=True)
            tale = Mortal(path, seed, template).live(options.steps)
            kills = tale.steps.count("killed")
            found = {"worlds": 1, "steps": len(tale.steps) - kills, "kills": kills, "brought_up": tale.brought_up}
            figures = {name: figures[name] + many for name, many in found.items()}
            if tale.wrong:
                wrong.append({"seed": seed, "steps": tale.steps, "wrong": tale.wrong[:5]})
    print(json.dumps(figures | {"seconds": round(time.perf_counter() - begun, 1), "wrong": wrong}, indent=2))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
