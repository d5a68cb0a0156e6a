"""One vendor's sandbox, a file that says who is wanted, a clock, and the hub between them: whole runs without a daemon."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.config.load import load_config
from core.contract import Sandbox
from core.http import open_api
from core.hub import Hub
from core.pulling.fill import PullRun, pull
from core.registry import load_connector
from core.run import SyncReport, sync
from core.sandbox import Served, as_settings, serve
from core.store import Store
from support.world import load_everything

NOW = datetime(2026, 3, 2, 11, tzinfo=UTC)
CONFIG = """\
[workspace]
database = "{database}"

[connections.there]
connector = "{name}"
{settings}
"""
SYNC = """
[connections.file]
connector = "files"

[connections.file.streams.people]
path = "people.csv"
kind = "profile"
key = "email"
identifiers = {{ email = "email" }}
types = {{ chosen = "text" }}

[segments.chosen]
where = 'file.chosen == "yes"'

[[syncs]]
segment = "chosen"
to = "there"
audience = {{ {kind} = "chosen" }}
guard = {{ removals = "99%", adds = 1000 }}
{params}
"""


class Place:
    """Made by `place`."""

    def __init__(self, folder: Path, name: str, served: Served, kind: str | None) -> None:
        self.folder = folder
        self.name = name
        self.served = served
        self.sandbox: Sandbox = served.sandbox
        self.kind = kind
        self.now = NOW
        self.sandbox.now = lambda: self.now
        self.want()

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def want(self, wanted: Iterable[str] = (), *, of: Iterable[str] = ()) -> None:
        """Say who is wanted, by address; *of* are others whom the file knows and does not want."""
        known = dict.fromkeys(of, "no") | dict.fromkeys(wanted, "yes")
        with (self.folder / "people.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("email", "chosen"), *known.items()])

    def hub(self, database: str = "tagalong.db") -> Hub:
        """Return a hub on one store; another *database* knows nothing yet."""
        settings = _table(as_settings(self.served))
        text = CONFIG.format(name=self.name, settings=settings, database=database)
        if self.kind is not None:
            text += SYNC.format(kind=self.kind, params=_table(self.sandbox.params(self.kind)))
        path = self.folder / "tagalong.toml"
        path.write_text(text)
        path.chmod(0o600)
        return Hub(load_config(path, {}), clock=lambda: self.now, sleep=lambda wait_s: None, environ={}, opener=_hurried)

    def pull(self, database: str = "tagalong.db") -> list[PullRun]:
        with self.hub(database) as hub:
            runs = pull(hub)
        assert [str(run.status) for run in runs] == ["done"] * len(runs), [run.error for run in runs]
        return runs

    def sync(self, **options: Any) -> SyncReport:
        with self.hub() as hub:
            return sync(hub, fresh=timedelta(0), **options)

    def rows(self, database: str = "tagalong.db") -> dict[str, dict[str, bool]]:
        """Return the rows of the vendor's landing tables by key, and whether each is live."""
        found: dict[str, dict[str, bool]] = {}
        with Store(self.folder / database) as store:
            tables = store.conn.execute(
                "SELECT s.name, s.landing FROM streams s JOIN connections c ON c.id = s.connection_id"
                " WHERE c.name = 'there' AND s.landing IS NOT NULL"
            ).fetchall()
            for stream, landing in tables:
                there = store.conn.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (landing,)).fetchone()
                rows = store.conn.execute(f'SELECT key, deleted_at IS NULL FROM "{landing}"') if there else ()
                found[stream] = {str(key): bool(live) for key, live in rows}
        return found

    def afresh(self) -> dict[str, dict[str, bool]]:
        """Return what a store that was never there before brings: what is true at the vendor now."""
        for path in self.folder.glob("fresh.db*"):
            path.unlink()
        self.pull("fresh.db")
        return self.rows("fresh.db")

    def there(self) -> set[str]:
        """Return who is in the audience, as the sandbox speaks of them."""
        return set(self.sandbox.audiences().get("chosen", ()))


@contextmanager
def place(folder: Path, name: str, *, kind: str | None = None, people: int = 40) -> Iterator[Place]:
    """Serve a sandbox with *people* in it; with *kind* there is a sync to an audience of that kind."""
    sandbox = load_connector(name).sandbox(rate_factor=1e9, now=lambda: NOW)
    load_everything(sandbox, people=people)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        served = stack.enter_context(serve({name: sandbox}))[name]
        try:
            yield Place(folder, name, served, kind)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _table(settings: Mapping[str, object]) -> str:
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())


def _hurried(*args: Any, **options: Any) -> Any:
    return open_api(*args, limits=(), **options)


Made = Callable[..., Place]
