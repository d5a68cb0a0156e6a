"""
The stream `responses`: one record a submitted form, one canonical answer a question. A form is a slice.

The checkpoint holds when the last walk began, less an overlap for what Typeform has not indexed yet, and how the questions were
worded then. Newest first, it moves only at a slice's clean end. A form whose wording changed is read again as a whole, and each
is where the settings say otherwise whose an answer is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from connectors.typeform.answers import Who, key, labelled, rows
from connectors.typeform.forms import Form, get_form, is_gone, list_forms
from connectors.typeform.paging import Place, walk
from core.contract import Api, Deletions, Kind, Page, Stream, midnight
from core.errors import NotFoundError, ProtocolError

OVERLAP: Final = timedelta(minutes=60)
"""Answers of the last 30 minutes may not be listed yet; twice that is asked for again. retrieve-responses."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the next pull of a form begins."""

    since: str
    """ISO 8601, the overlap taken off."""
    version: str | None
    """When the form was last changed, as the list of forms said, and the settings that say whose an answer is."""
    wording: str
    """Fingerprint of the texts, and of those settings, with which the stored answers were read."""

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise ProtocolError("the form's checkpoint cannot be read; pull in full") from None

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


class Responses:
    """One pull of all forms: what the list of forms said is kept for their slices."""

    def __init__(self, who: Who) -> None:
        self._who = who
        self._updated_at: dict[str, str] = {}

    def stream(self) -> Stream:
        """Return the stream."""
        return Stream(
            "responses",
            Kind.ANSWER,
            pull=self.pull,
            key=key,
            order="any",
            identifiers={"user_id": "respondent.user_id", "email": "respondent.email"},
            deletions=Deletions.ABSENCE,  # Quirk 13
            full_every=timedelta(days=7),
            rows=rows,
            slices=self.slices,
        )

    def slices(self, api: Api) -> Iterable[str]:
        """Return the ids of all forms (`GET /forms`)."""
        self._updated_at = dict(list_forms(api))
        return list(self._updated_at)

    def pull(self, api: Api, cursor: str | None, resume: str | None, form_id: str) -> Iterator[Page]:
        """Answers of one form, newest first (`GET /forms/{form_id}/responses`)."""
        last = Checkpoint.parse(cursor) if cursor is not None else None
        try:
            yield from self._pages(api, form_id, last, Place.parse(resume) if resume is not None else None)
        except NotFoundError:
            if not is_gone(api, form_id):
                raise
            # deleted since it was listed: it is not in the next list, and its answers vanish as any slice's do

    def _pages(self, api: Api, form_id: str, last: Checkpoint | None, place: Place | None) -> Iterator[Page]:
        updated_at = self._updated_at.get(form_id)
        version = f"{updated_at} {self._who.mark}" if updated_at else None
        form: Form | None = None
        if last is not None and place is None and version is not None and version == last.version:
            wording = last.wording  # and its definition is asked for only where there are new answers
        else:
            form = get_form(api, form_id)
            wording = f"{form.wording} {self._who.mark}"
        if place is None or place.wording != wording:
            whole = last is not None and (place is not None or last.wording != wording)
            place = Place(began=api.now.isoformat(), wording=wording, whole=whole)
        done = Checkpoint(_before(place.began), version, wording).dump()
        for items, following in walk(api, form_id, place, _since(api, last, place)):
            if items and form is None:
                form = get_form(api, form_id)
            records = [labelled(item, form, self._who) for item in items] if form is not None else []
            yield Page(
                records,
                cursor=done if following is None else None,
                resume=following.dump() if following is not None else None,
                whole=place.whole,
            )


def _since(api: Api, last: Checkpoint | None, place: Place) -> datetime | None:
    if last is None or place.whole:
        return midnight(api.settings.start)
    # a time to come would hide all that is sent until then (Quirk 15); answers have whole seconds
    return min(datetime.fromisoformat(last.since), api.now).replace(microsecond=0)


def _before(began: str) -> str:
    return (datetime.fromisoformat(began) - OVERLAP).isoformat()
