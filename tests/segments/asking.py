"""How the tests of rules ask: one segment over one small world."""

from __future__ import annotations

from typing import Any

from smallworld import AS_OF, World, definitions

from core.config.model import Place, Segment
from core.segments.evaluate import evaluate
from core.segments.language import ExpressionError
from core.store import Store

PLACE = Place("tagalong.toml", 7, "segments")


def members(store: Store, world: World, text: str, **options: Any) -> list[int]:
    """Return who is in the segment *text*; *options*: its `tz`, the clock (`as_of`), and keys of the workspace."""
    world.write(store)
    as_of, tz = options.pop("as_of", AS_OF), options.pop("tz", None)
    segment = Segment("s", text, place=PLACE, timezone=tz)
    found = evaluate(store, definitions({"s": segment}, **options), as_of=as_of)
    assert {} == found.failed
    return list(found.sets["segment.s"])


def wrong(text: str, **options: Any) -> tuple[str, str]:
    """Return what is said to be wrong in *text*, and the rest of it from the caret on."""
    from smallworld import ZONE, vocabulary

    from core.segments.reader import Scope, read

    try:
        read(text, Scope(vocabulary(), ZONE, **options))
    except ExpressionError as error:
        return error.message, text[error.column :]
    raise AssertionError(f"nothing is wrong in {text}")
