"""
Pull and store N contacts of a paginated API: Tagalong, dlt's REST source (SQLite, DuckDB) and a bare httpx-and-sqlite3 loop.

All against one loopback server in one run, each in a process of its own, in turn; prints one JSON object.

    python bench/pull.py --records 50000 --page-size 100 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from server import serving

CONTESTANTS = ("tagalong", "bare", "dlt_sqlite", "dlt_duckdb")


def main() -> None:
    """Run every contestant *rounds* times and print the best of each, and how we compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--page-size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(_measure(options.contestant, options.url)))
        return
    print(json.dumps(_compare(options), indent=2))


def _compare(options: argparse.Namespace) -> dict[str, Any]:
    best: dict[str, dict[str, Any]] = {}
    skipped = {}
    with serving(options.records, options.page_size) as url:
        for _ in range(options.rounds):
            for name in options.only:
                if name.startswith("dlt") and find_spec("dlt") is None:
                    skipped[name] = "dlt is not installed: make bench-install"
                    continue
                figures = _in_its_own_process(name, url)
                if figures["records"] != options.records:
                    raise SystemExit(f"{name} stored {figures['records']} of {options.records} records")
                if name not in best or figures["seconds"] < best[name]["seconds"]:
                    best[name] = figures
    ours = best.get("tagalong", {}).get("seconds")
    ratios = {f"times_as_fast_as_{n}": round(f["seconds"] / ours, 2) for n, f in best.items() if ours and n != "tagalong"}
    return {
        "records": options.records,
        "page_size": options.page_size,
        "cores": os.cpu_count(),
        **best,
        **ratios,
        "skipped": skipped,
    }


def _in_its_own_process(name: str, url: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--contestant", name, "--url", url]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure(name: str, url: str) -> dict[str, Any]:
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"  # nothing but loopback is asked
    run = {"tagalong": _tagalong, "bare": _bare, "dlt_sqlite": _dlt_sqlite, "dlt_duckdb": _dlt_duckdb}[name]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        figures = run(url, Path(folder))
    seconds = figures["seconds"]
    figures |= {
        "seconds": round(seconds, 3),
        "records_per_s": round(figures["records"] / seconds),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    return figures


def _tagalong(url: str, folder: Path) -> dict[str, Any]:
    from contestant import pull_and_resolve

    return pull_and_resolve(url, folder)


def _bare(url: str, folder: Path) -> dict[str, Any]:
    import sqlite3

    import httpx

    begun = time.perf_counter()
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    columns: list[str] = []
    page: str | None = "1"
    with httpx.Client(base_url=url) as client:
        while page:
            body = client.get("/contacts", params={"page": page}).raise_for_status().json()
            rows = [{k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in body["contacts"]]
            if not columns:
                columns = list(rows[0])
                db.execute(f"CREATE TABLE contacts ({', '.join(columns)}, PRIMARY KEY (id))")
            marks = ", ".join(f":{column}" for column in columns)
            db.execute("BEGIN")
            db.executemany(f"INSERT OR REPLACE INTO contacts VALUES ({marks})", rows)
            db.execute("COMMIT")
            page = body["paging"].get("next")
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "records": db.execute("SELECT count(*) FROM contacts").fetchone()[0]}


def _dlt(url: str, destination: Any) -> tuple[float, Any]:
    import dlt
    from dlt.sources.rest_api import rest_api_source

    begun = time.perf_counter()
    source = rest_api_source(
        {
            "client": {"base_url": url},
            "resources": [
                {
                    "name": "contacts",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "contacts",
                        "params": {"page": "1"},
                        "data_selector": "contacts",
                        "paginator": {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "page"},
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=str(Path.cwd() / "dlt"))
    pipeline.run(source).raise_on_failed_jobs()
    return time.perf_counter() - begun, pipeline


def _dlt_sqlite(url: str, folder: Path) -> dict[str, Any]:
    import dlt

    seconds, pipeline = _dlt(url, dlt.destinations.sqlalchemy(f"sqlite:///{folder / 'dlt.db'}"))
    with pipeline.sql_client() as client:
        return {"seconds": seconds, "records": client.execute_sql("SELECT count(*) FROM contacts")[0][0]}


def _dlt_duckdb(url: str, folder: Path) -> dict[str, Any]:
    import dlt

    seconds, pipeline = _dlt(url, dlt.destinations.duckdb(str(folder / "dlt.duckdb")))
    with pipeline.sql_client() as client:
        return {"seconds": seconds, "records": client.execute_sql("SELECT count(*) FROM contacts")[0][0]}


if __name__ == "__main__":
    main()
