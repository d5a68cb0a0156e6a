"""Ann, who is to be forgotten, among people who are not: at a made-up vendor that is source and destination and can erase."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.story import Story

from core.contract import Category, Erasure, Outcome, Ref, Sought, Verdict
from core.forget.ask import Forgot, Wish
from core.forget.flow import forget
from core.hub import Hub
from core.store import Store
from core.store.holders import HOLDERS
from core.store.traces import landings

ANN = "annelise.quist@example.com"
ANN_ID, ANN_USER = "contact-7771-zq", "user-annelise-8472"
PHONE = "+46708447711"
TELLING = (ANN, ANN_ID, ANN_USER, "Annelise", "Quistenberg", PHONE, "annelise.quist")
"""What would tell that Ann was ever here."""


@dataclass
class ForgetStory(Story):
    """One world; the vendor notes whom it was asked to erase."""

    kind: str = "tag"
    category: Category = Category.EMAIL
    with_events: bool = True
    can_erase: bool = True
    sought: list[Sought] = field(default_factory=list)
    verdict: Verdict = Verdict.DONE
    erase_fault: Callable[[], None] | None = None

    def hub(self) -> Hub:
        hub = super().hub()
        if self.can_erase:
            module: Any = hub.connector("crm").module
            module.ERASURE = Erasure("deletes the person", docs_url="https://docs.example.com/erase")
            module.erase = self._erase
        return hub

    def _erase(self, api: Any, sought: Sought) -> Sequence[Outcome]:
        if self.erase_fault is not None:
            self.erase_fault()
        self.sought.append(sought)
        ids = sought.records.get("contacts", ())
        for id_ in ids:
            api.vendor.people.pop(id_, None)
        return [Outcome(Ref(id_), self.verdict, job="job-17" if self.verdict is Verdict.PENDING else None) for id_ in ids]

    def ann(self, **more: Any) -> None:
        """Let Ann be at the vendor, with all that one can have there."""
        self.vendor.people[ANN_ID] = {
            "email": ANN, "user_id": ANN_USER, "stage": "vip", "first_name": "Annelise", "last_name": "Quistenberg",
            "phone": PHONE, "country": "SE", **more,
        }  # fmt: skip
        self.vendor.events.append({"id": f"e-{ANN_ID}", "email": ANN, "name": "Page Viewed", "at": self.now, "who": ANN_USER})

    def settled(self) -> ForgetStory:
        """Ann and five others, pulled, in the audience."""
        self.people(1, 2, 3, 4, 5)
        self.ann()
        self.sync()
        assert {ANN_ID, "1", "2", "3", "4", "5"} == self.there()
        return self

    def forget(self, who: str = ANN, *, step: Callable[[str], None] = lambda _: None, **wish: Any) -> Forgot:
        """Forget somebody, a while later."""
        self.pass_time()
        return forget(self.hub(), Wish(who, **wish), step=step)

    def bytes_of_all_files(self) -> dict[str, bytes]:
        """Every file that belongs to the database, the log and the key."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}


def telling(files: Mapping[str, bytes], *texts: str) -> list[tuple[str, str]]:
    """Return which file tells of which of *texts*."""
    found = []
    for name, content in files.items():
        low = content.lower()
        found += [(name, text) for text in texts if text.lower().encode() in low]
    return found


def dump(store: Store, *, but: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return every table's rows, sorted, as text; those of *but* left out."""
    tables = [*HOLDERS, *(landing for _, landing in landings(store.conn))]
    return {table: sorted(map(repr, store.conn.execute(f'SELECT * FROM "{table}"'))) for table in tables if table not in but}


def columns_in_file(path: Path) -> dict[str, set[str]]:
    """Return every table of a database and its columns."""
    with sqlite3.connect(path) as conn:
        tables = [row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: {row[1] for row in conn.execute(f'PRAGMA table_info("{table}")')} for table in tables}
