"""
Forms: which there are, and what their questions are called.

An answer names its question by id; the text that segments speak of is only in the form's definition. A definition is asked for
when the form was changed or has new answers, never otherwise: the account has two requests a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from core.contract import Api, Json
from core.errors import ProtocolError, TransientError

FORMS_PER_PAGE: Final = 200  # the most that `GET /forms` gives; the default is 10
LISTINGS: Final = 3
"""How often a list of forms that moved while it was read is read again."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a form and its questions are called."""

    id: str
    title: str
    texts: Mapping[str, str]
    """Question by its id, and by its ref where no id is that."""
    types: Mapping[str, str]
    """Type of the question (`nps`, `rating`), likewise."""
    own_address: str | None
    """The id of the only question that asks for an e-mail address; None where there is none, or where there are several."""

    @property
    def wording(self) -> str:
        """A fingerprint of all that answers are labelled with."""
        parts = [
            self.title,
            self.own_address or "",
            *(f"{at}\x1f{self.texts[at]}\x1f{self.types[at]}" for at in sorted(self.texts)),
        ]
        return blake2b("\x1e".join(parts).encode(), digest_size=8).hexdigest()


def read_form(body: Json) -> Form:
    """Return the form that a definition is of."""
    if not isinstance(body, dict) or not body.get("id"):
        raise ProtocolError("the form's definition has no id")
    fields = list(_fields(body.get("fields") or ()))
    texts: dict[str, str] = {}
    types: dict[str, str] = {}
    for name in ("id", "ref"):
        for field in fields:
            if at := field.get(name):
                texts.setdefault(str(at), str(field.get("title") or "").strip())
                types.setdefault(str(at), str(field.get("type") or ""))
    addresses = [str(field.get("id")) for field in fields if field.get("type") == "email"]
    title = str(body.get("title") or "").strip() or str(body["id"])
    return Form(str(body["id"]), title, texts, types, addresses[0] if len(addresses) == 1 else None)


def _fields(found: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all questions, those inside groups too."""
    for field in found:
        yield field
        yield from _fields((field.get("properties") or {}).get("fields") or ())


def get_form(api: Api, form_id: str) -> Form:
    """Ask for a form's definition."""
    return read_form(api.get(f"/forms/{form_id}"))


def is_gone(api: Api, form_id: str) -> bool:
    """Ask whether the form was deleted."""
    return api.request("GET", f"/forms/{form_id}", allow=(404,)).status == 404


def list_forms(api: Api) -> Mapping[str, str]:
    """
    Return every form's id and when it was last changed, as the vendor writes it.

    A form that is edited while the pages are read may jump over the one being read. A form left out would count as deleted with
    all its answers: the count tells, and then the list is read again (Quirk 9).

    Raises:
        TransientError: it moves each time.
    """
    for _ in range(LISTINGS):
        found: dict[str, str] = {}
        page, pages, total = 1, 1, 0
        while page <= pages:
            body = api.get("/forms", page=page, page_size=FORMS_PER_PAGE)
            found |= {str(item["id"]): str(item.get("last_updated_at") or "") for item in body["items"]}
            pages, total = int(body["page_count"]), int(body["total_items"])
            page += 1
        if len(found) >= total:
            return found
    raise TransientError("the list of forms changed each time it was read")
