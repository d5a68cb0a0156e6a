"""
Twelve segments asked of DuckDB as well, by queries that a person would write by hand, over Parquet files of the same rows.

Each pair must give equally many people. Ours are timed as single cold evaluations: with the universe, and with nothing kept.
"""

from __future__ import annotations

import csv
import os
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from world import make_definitions

from core.clock import to_us
from core.segments.evaluate import evaluate
from core.store import Store

DAY: Final = 86_400_000_000
TABLES: Final = {
    "profiles": "SELECT id, company_id, email, user_id, country, language, created_at FROM profiles WHERE live = 1",
    "companies": "SELECT id, industry, employees FROM companies WHERE live = 1",
    "subscriptions": "SELECT id, company_id, status, plan, mrr, quantity FROM subscriptions WHERE deleted_at IS NULL",
    "answers": "SELECT id, profile_id, survey, question, number, choice, answered_at FROM answers WHERE deleted_at IS NULL",
    "contacts": "SELECT profile_id, lifecyclestage, score FROM crm__contacts WHERE deleted_at IS NULL",
    "events": (
        "SELECT e.profile_id, n.name, e.time, e.properties ->> '$.path' AS path, e.properties ->> '$.amount' AS amount "
        "FROM events e JOIN event_names n ON n.id = e.name_id WHERE e.profile_id IS NOT NULL"
    ),
}
_IN_FORCE = "SELECT company_id, sum(mrr) / 100.0 AS mrr FROM subscriptions WHERE status IN ('active', 'past_due') GROUP BY 1"
_PAYING = f"SELECT p.id FROM profiles p JOIN ({_IN_FORCE}) s USING (company_id) WHERE s.mrr > 0"
_NPS = "SELECT profile_id AS id, arg_max(number, (answered_at, id)) AS score FROM answers WHERE survey = 'NPS' GROUP BY 1"


def _did(name: str, days: int | None = None) -> str:
    since = f" AND time > $now - {days * DAY}" if days else ""
    return f"SELECT profile_id FROM events WHERE name = '{name}' AND time <= $now{since}"


PAIRS: Final = {
    'did("Signed Up", last="30d")': f"id IN ({_did('Signed Up', 30)})",
    'count("Page Viewed", path="/pricing", last="30d") >= 3': (
        f"id IN ({_did('Page Viewed', 30)} AND path = '/pricing' GROUP BY 1 HAVING count(*) >= 3)"
    ),
    'count("Logged In") >= 10': f"id IN ({_did('Logged In')} GROUP BY 1 HAVING count(*) >= 10)",
    'count("Logged In", last="60d") >= 4 and not paying': (
        f"id IN ({_did('Logged In', 60)} GROUP BY 1 HAVING count(*) >= 4) AND id NOT IN ({_PAYING})"
    ),
    'did("Project Launched") and did("Team Invited") and not did("Task Created") and country in ["SE", "FI", "DK", "NO"]': (
        f"country IN ('SE', 'FI', 'DK', 'NO') AND id IN ({_did('Project Launched')}) AND id IN ({_did('Team Invited')}) "
        f"AND id NOT IN ({_did('Task Created')})"
    ),
    'sum("Order Completed", "amount", last="90d") > 300': (
        f"id IN ({_did('Order Completed', 90)} GROUP BY 1 HAVING sum(CAST(amount AS DOUBLE)) > 300)"
    ),
    "mrr > 50 and company.employees >= 100": (
        f"company_id IN (SELECT company_id FROM ({_IN_FORCE}) WHERE mrr > 50) "
        "AND company_id IN (SELECT id FROM companies WHERE employees >= 100)"
    ),
    'nps >= 9 and country == "SE"': f"country = 'SE' AND id IN (SELECT id FROM ({_NPS}) WHERE score >= 9)",
    'count("Task Created", last="30d") < 2 and paying': (
        f"id NOT IN ({_did('Task Created', 30)} GROUP BY 1 HAVING count(*) >= 2) AND id IN ({_PAYING})"
    ),
    'crm.lifecyclestage == "customer" and language == "sv"': (
        "language = 'sv' AND id IN (SELECT profile_id FROM contacts WHERE lifecyclestage = 'customer')"
    ),
    'days_active("Logged In", last="60d") >= 5': (
        f"id IN ({_did('Logged In', 60)} GROUP BY 1 "
        "HAVING count(DISTINCT date_trunc('day', timezone('Europe/Stockholm', make_timestamptz(time)))) >= 5)"
    ),
    'did("Order Completed", between_ago=("180d", "60d")) and not did("Order Completed", last="60d")': (
        f"id IN ({_did('Order Completed', 180)} AND time <= $now - {60 * DAY}) AND id NOT IN ({_did('Order Completed', 60)})"
    ),
}
"""Our segment and a condition on profiles that asks the same of DuckDB."""


def beside(path: Path, clock: datetime) -> dict[str, Any]:
    """Return the seconds of both for each of the twelve."""
    try:
        import duckdb
    except ImportError:
        return {"left_out": "duckdb is not installed: make bench-install"}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        _export(duckdb, path, Path(folder))
        exported = time.perf_counter() - begun
        conn = duckdb.connect()
        for name in TABLES:
            conn.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{folder}/{name}.parquet')")
        pairs: list[dict[str, Any]] = []
        for text, condition in PAIRS.items():
            theirs = _theirs(conn, condition, to_us(clock))
            ours = _ours(path, text, clock)
            pairs.append(
                {"segment": text, "ours": ours[1], "duckdb": theirs[1], "people": ours[0], "same": ours[0] == theirs[0]}
            )
    return {
        "export_seconds": round(exported, 1), "segments": pairs, "all_same": all(pair["same"] for pair in pairs),
        "ours_seconds": round(sum(pair["ours"]["seconds"] for pair in pairs), 2),
        "duckdb_seconds": round(sum(pair["duckdb"]["seconds"] for pair in pairs), 2),
        "ours_processor_seconds": round(sum(pair["ours"]["processor_seconds"] for pair in pairs), 2),
        "duckdb_processor_seconds": round(sum(pair["duckdb"]["processor_seconds"] for pair in pairs), 2),
    }  # fmt: skip


def _theirs(conn: Any, condition: str, now: int) -> tuple[int, dict[str, float]]:
    """Ask for the ids, as we give them, so that nothing is left out for want of being looked at."""
    asked = f"SELECT id FROM profiles WHERE (email IS NOT NULL OR user_id IS NOT NULL) AND {condition}"
    wall, processor = time.perf_counter(), time.process_time()
    given = {"now": now} if "$now" in asked else {}
    ids = conn.execute(asked, given).fetchall()
    return len(ids), _seconds(wall, processor)


def _ours(path: Path, text: str, clock: datetime) -> tuple[int, dict[str, float]]:
    definitions = make_definitions(path, [text])
    with Store(path) as store:
        wall, processor = time.perf_counter(), time.process_time()
        found = evaluate(store, definitions, as_of=clock, names=["segment.s0"], reuse=False)
        return len(found.sets["segment.s0"]), _seconds(wall, processor)


def _seconds(wall: float, processor: float) -> dict[str, float]:
    return {
        "seconds": round(time.perf_counter() - wall, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
    }


def _export(duckdb: Any, path: Path, folder: Path) -> None:
    """Write the tables as Parquet; DuckDB's own reader of SQLite files is an extension that is not on every machine."""
    conn = duckdb.connect()
    with Store(path) as store:
        for name, query in TABLES.items():
            pipe = folder / f"{name}.csv"
            os.mkfifo(pipe)
            writer = threading.Thread(target=_write, args=(path, query, pipe))
            writer.start()
            columns = ", ".join(f"'{column}': '{type_}'" for column, type_ in _types(store, query))
            source = f"read_csv('{pipe}', header = false, columns = {{{columns}}}, nullstr = '', parallel = false)"
            conn.execute(f"COPY (SELECT * FROM {source}) TO '{folder}/{name}.parquet' (FORMAT parquet)")
            writer.join()


def _write(path: Path, query: str, pipe: Path) -> None:
    with Store(path, any_thread=True) as store, pipe.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(store.conn.execute(query))


def _types(store: Store, query: str) -> list[tuple[str, str]]:
    texts = {"email", "user_id", "country", "language", "industry", "status", "plan", "survey", "question", "choice", "name",
             "path", "lifecyclestage"}  # fmt: skip
    names = [column[0] for column in store.conn.execute(f"{query} LIMIT 0").description]
    return [(name, "VARCHAR" if name in texts else "DOUBLE" if name in ("amount", "number") else "BIGINT") for name in names]
