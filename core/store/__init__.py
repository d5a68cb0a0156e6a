"""The store: one SQLite file, one module an idea."""

from core.store.db import Store

__all__ = ["Store"]
