"""The product's own exports, as files that the demo writes and the `files` connector reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.demo.people import rows
from core.demo.people.model import World


def write_exports(folder: Path, world: World, *, week: int) -> None:
    """Write `accounts.csv` and `nps.csv` anew, and what was done since the last export as one more `usage` file."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    _write_csv(data / "accounts.csv", rows.accounts(world.people))
    _write_csv(data / "nps.csv", rows.scores(world.people))
    seen = {line.split('"', 4)[3] for path in data.glob("usage*.jsonl") for line in path.read_text().splitlines()}
    with (data / f"usage-{week}.jsonl").open("w", encoding="utf-8") as file:
        for line in rows.usage(world.people):
            if line["event_id"] not in seen:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_csv(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for line in lines:
            if writer is None:
                writer = csv.DictWriter(file, list(line))
                writer.writeheader()
            writer.writerow(line)
