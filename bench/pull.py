"""
Pull and store the contacts of a paginated API: Tagalong, dlt's REST source (SQLite, DuckDB) and a bare httpx-and-sqlite3 loop.

All against one loopback server in one run, each in a process of its own, in turn; prints one JSON object.

    python bench/pull.py --records 50000 --page-size 100 --rounds 3
    python bench/pull.py --companies 5000
    python bench/pull.py --kind events --only tagalong bare

Or the requests, seconds and memory that it takes to read one vendor's sandbox:

    python bench/pull.py --connector mailchimp --records 100000
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
SIZES = {"contacts": (50_000, 100), "events": (1_000_000, 1_000)}
"""Records and page size of each kind, unless told otherwise."""
SPREAD = 5_000
"""Companies that the contacts' data names where no stream tells of companies."""


def main() -> None:
    """Run every contestant *rounds* times and print the best of each, and how we compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=SIZES, default="contacts")
    parser.add_argument("--records", type=int, help="50,000 contacts or 1,000,000 events, unless told otherwise")
    parser.add_argument("--page-size", type=int, help="100 contacts or 1,000 events, unless told otherwise")
    parser.add_argument("--companies", type=int, default=0, help="let each contact be of one of so many companies")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--connector", help="read this vendor's sandbox instead; 100,000 records unless told otherwise")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.connector:
        from reading import read

        print(json.dumps(read(options.connector, options.records or 100_000), indent=2))
        return
    records, page_size = SIZES[options.kind]
    options.records = options.records or records
    options.page_size = options.page_size or page_size
    if options.contestant:
        print(json.dumps(_measure(options)))
        return
    print(json.dumps(_compare(options), indent=2))


def _compare(options: argparse.Namespace) -> dict[str, Any]:
    best: dict[str, dict[str, Any]] = {}
    skipped = {}
    with serving(options.kind, options.records, options.page_size, options.companies or SPREAD) as url:
        for _ in range(options.rounds):
            for name in options.only:
                if name.startswith("dlt") and find_spec("dlt") is None:
                    skipped[name] = "dlt is not installed: make bench-install"
                    continue
                figures = _in_its_own_process(name, url, options)
                if figures["records"] != options.records:
                    raise SystemExit(f"{name} stored {figures['records']} of {options.records} records")
                if name not in best or figures["seconds"] < best[name]["seconds"]:
                    best[name] = figures
    ours = best.get("tagalong", {}).get("seconds")
    ratios = {f"times_as_fast_as_{n}": round(f["seconds"] / ours, 2) for n, f in best.items() if ours and n != "tagalong"}
    return {
        "kind": options.kind,
        "records": options.records,
        "page_size": options.page_size,
        "companies": options.companies,
        "cores": os.cpu_count(),
        **best,
        **ratios,
        "skipped": skipped,
    }


def _in_its_own_process(name: str, url: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--contestant", name, "--url", url, "--kind", options.kind]
    command += ["--companies", str(options.companies)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"  # nothing but loopback is asked
    run = {"tagalong": _tagalong, "bare": _bare, "dlt_sqlite": _dlt_sqlite, "dlt_duckdb": _dlt_duckdb}[options.contestant]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        figures = run(options, Path(folder))
    seconds = figures["seconds"]
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return (
        {"peak_rss_mb": peak}
        | figures
        | {
            "seconds": round(seconds, 3),
            "records_per_s": round(figures["records"] / seconds),
        }
    )


def _tagalong(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from contestant import pull_and_resolve

    return pull_and_resolve(options.url, folder, options.kind, options.companies)


def _bare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import sqlite3

    import httpx

    begun = time.perf_counter()
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    columns: list[str] = []
    page: str | None = "1"
    kind = options.kind
    with httpx.Client(base_url=options.url) as client:
        while page:
            body = client.get(f"/{kind}", params={"page": page}).raise_for_status().json()
            rows = [{k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in body[kind]]
            if not columns:
                columns = list(rows[0])
                db.execute(f"CREATE TABLE {kind} ({', '.join(columns)}, PRIMARY KEY (id))")
            marks = ", ".join(f":{column}" for column in columns)
            db.execute("BEGIN")
            db.executemany(f"INSERT OR REPLACE INTO {kind} VALUES ({marks})", rows)
            db.execute("COMMIT")
            page = body["paging"].get("next")
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "records": db.execute(f"SELECT count(*) FROM {kind}").fetchone()[0]}


def _dlt(options: argparse.Namespace, destination: Any) -> tuple[float, Any]:
    import dlt
    from dlt.sources.rest_api import rest_api_source

    begun = time.perf_counter()
    source = rest_api_source(
        {
            "client": {"base_url": options.url},
            "resources": [
                {
                    "name": options.kind,
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": options.kind,
                        "params": {"page": "1"},
                        "data_selector": options.kind,
                        "paginator": {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "page"},
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=str(Path.cwd() / "dlt"))
    pipeline.run(source).raise_on_failed_jobs()
    return time.perf_counter() - begun, pipeline


def _dlt_sqlite(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import dlt

    seconds, pipeline = _dlt(options, dlt.destinations.sqlalchemy(f"sqlite:///{folder / 'dlt.db'}"))
    with pipeline.sql_client() as client:
        return {"seconds": seconds, "records": client.execute_sql(f"SELECT count(*) FROM {options.kind}")[0][0]}


def _dlt_duckdb(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import dlt

    seconds, pipeline = _dlt(options, dlt.destinations.duckdb(str(folder / "dlt.duckdb")))
    with pipeline.sql_client() as client:
        return {"seconds": seconds, "records": client.execute_sql(f"SELECT count(*) FROM {options.kind}")[0][0]}


if __name__ == "__main__":
    main()
