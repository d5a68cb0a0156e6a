"""
What a `field` audience can carry beside its yes or no: values of traits and canonical fields, each under a name of its own.

A sync says `fields = { LEAD_SCORE = "lead_score" }`. A member whose value changed is sent again; a value that is missing is
taken away, and so are all of them from who leaves, unless the sync says `leavers = "keep"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from core.contract.audiences import Audience, Change, Params


class FieldParams(Params):
    """What a sync may say of an audience that carries values."""

    fields: dict[str, str] = Field(default_factory=dict)
    """Fields that are written with it: the name at the destination, and the trait or canonical field whose value it gets."""
    leavers: Literal["clear", "keep"] = "clear"
    """What becomes of these fields of somebody who leaves: clear takes the values away, keep leaves them as last written."""


class Carrying(Audience):
    """An audience that carries values. Subclass it, and write what `carried` and `cleared` say."""

    Params = FieldParams
    params: FieldParams

    def wanted_fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.params.fields.values()))

    def carried(self, change: Change) -> dict[str, Any]:
        """Return the fields to write for a member by their names there; None is a value that is missing."""
        return {name: _plain(change.values.get(source)) for name, source in self.params.fields.items()}

    def cleared(self) -> dict[str, None]:
        """Return the fields to take from who leaves."""
        return dict.fromkeys(self.params.fields) if self.params.leavers == "clear" else {}


def fields_of(audience: Audience) -> Mapping[str, str]:
    """Return the name there and the source of each field that an audience carries."""
    return audience.params.fields if isinstance(audience, Carrying) else {name: name for name in audience.wanted_fields()}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
