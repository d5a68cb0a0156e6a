"""What the checks look at: the database's file, the store in it where it can be opened, the config where it can be read."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from core.clock import Clock
from core.config.model import Config
from core.errors import StoreError
from core.store import Store


@dataclass(slots=True)
class Patient:
    """One installation."""

    database: Path
    config: Config | None
    clock: Clock
    store: Store | None = field(default=None)

    @property
    def conn(self) -> sqlite3.Connection:
        if self.store is None:
            raise StoreError("the database is not open")
        return self.store.conn

    @property
    def now(self) -> datetime:
        return self.clock()

    @property
    def is_outdated(self) -> bool:
        """Whether a version other than this one wrote the file: its tables may be others than those asked for."""
        try:
            return self.store is None or self.store.is_outdated()
        except StoreError:
            return True

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
