"""What a page has of people who were forgotten is left out of it, before anything of it is stored."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from core.contract import Page
from core.store.events import EventStore
from core.store.forgotten import Forgotten
from core.store.pages import RecordStore
from core.store.reading import Prepared
from core.store.sources import Source


def leave_out(
    page: Page, prepared: Prepared[Any], records: RecordStore | EventStore, of: Source, forgotten: Forgotten
) -> tuple[Page, Prepared[Any], int]:
    """
    Return what is left of a page of the stream *of*, and how many records were left out.

    What the vendor merged into an object of theirs is told as gone; what became of their object is nobody's business here.
    """
    theirs = partial(forgotten.has_record, of.connection, of.stream)
    kept = records.without(prepared, forgotten)
    kept = replace(kept, bad=[bad for bad in kept.bad if not theirs(bad.ref)])
    bad = [bad for bad in page.bad if not theirs(bad.ref)]
    lost = [merge.loser for merge in page.merged if theirs(merge.winner) and not theirs(merge.loser)]
    merged = [merge for merge in page.merged if not (theirs(merge.loser) or theirs(merge.winner))]
    count = len(prepared.items) - len(kept.items) + len(prepared.bad) - len(kept.bad) + len(page.bad) - len(bad)
    return replace(page, bad=bad, merged=merged, deleted=[*page.deleted, *lost]), kept, count
