"""
Files under the config's folder that name somebody: the config itself, lists that segments read, input files.

They are a person's own, so nothing is changed in them; the certificate says which they are. Only plain text is looked at, and
only for addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

TEXTS: Final = frozenset({".toml", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".sql"})
MOST_FILES: Final = 5_000
MOST_BYTES: Final = 256 * 1024 * 1024
"""Of one file; a larger one is not read."""
BLOCK: Final = 1024 * 1024


def mentions(folder: Path, addresses: Iterable[str]) -> list[str]:
    """Return the files, relative to *folder*, that have one of *addresses* in them, in whichever case; sorted."""
    sought = [address.lower().encode() for address in addresses]
    return [str(path.relative_to(folder)) for path in _texts(folder) if _has(path, sought)] if sought else []


def _texts(folder: Path) -> Iterator[Path]:
    count = 0
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.suffix.lower() not in TEXTS or not path.is_file():
            continue
        count += 1
        if count > MOST_FILES:
            return
        yield path


def _has(path: Path, sought: list[bytes]) -> bool:
    keep = max(map(len, sought)) - 1
    try:
        if path.stat().st_size > MOST_BYTES:
            return False
        with path.open("rb") as file:
            tail = b""
            while block := file.read(BLOCK):
                text = (tail + block).lower()
                if any(one in text for one in sought):
                    return True
                tail = text[-keep:] if keep else b""
    except OSError:  # a file of somebody else's
        return False
    return False
