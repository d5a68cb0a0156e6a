"""What a pull tells of itself: page by page while it runs, stream by stream when it has ended."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

from core.errors import HubError


@dataclass(frozen=True, slots=True)
class PageStored:
    """A page is in the store, and so is its checkpoint."""

    connection: str
    stream: str
    _: KW_ONLY
    pages: int
    """Pages of the stream so far, this one included."""
    records: int
    """Records of the stream so far."""
    changed: int


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What became of one stream."""

    stream: str
    _: KW_ONLY
    records: int = 0
    changed: int = 0
    """New or different ones."""
    pages: int = 0
    deleted: int = 0
    held: int = 0
    """Vanished rows that stay live until `approve`."""
    bad: int = 0
    """Unreadable ones, now dead letters."""
    known_bad: int = 0
    """Those of them that were dead letters before, for the same reason."""
    forgotten: int = 0
    """Records of people who were forgotten: not stored."""
    error: HubError | None = None
    complete: bool = False
    took_s: float = 0.0
    notes: tuple[str, ...] = ()
    """What is worth a line: a column that was widened, a field that vanished."""


@dataclass(frozen=True, slots=True)
class PullReport:
    """What became of a connection's streams, in the order pulled."""

    connection: str
    streams: list[StreamReport] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every stream came to a clean end."""
        return all(stream.complete for stream in self.streams)
