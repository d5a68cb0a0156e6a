"""Words of sets: other segments, and the groups of a partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config.names import suggest
from core.segments.tree import InSegment
from core.segments.types import Groups

if TYPE_CHECKING:
    from core.segments.words.call import Call


def segment(call: Call) -> InSegment:
    """`segment("x")`: a member of it."""
    name = call.text(0, "the name of a segment")
    call.end(1)
    if name not in call.reader.scope.segments:
        raise call.error(call.node, f"there is no segment {name}", suggest(name, call.reader.scope.segments))
    return InSegment(name)


def partition(call: Call) -> Groups:
    """`partition("lifecycle") == "at_risk"`."""
    name = call.text(0, "the name of a partition")
    call.end(1)
    if name not in call.reader.scope.partitions:
        raise call.error(call.node, f"there is no partition {name}", suggest(name, call.reader.scope.partitions))
    return Groups(name, call.reader.scope.partitions[name])
