"""Erasing answers, form by form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.typeform.vendor import DOCS
from core.contract import Api, Erasure, Outcome, Ref, Sought, Verdict, chunks

ERASURE: Final = Erasure(
    "deletes the person's answers",
    docs_url=f"{DOCS}/responses/reference/delete-responses/",
    by_hand="the form > Results > Responses > select > Delete",
)
BATCH: Final = 1_000
"""Answers of one request."""


def erase(api: Api, sought: Sought) -> Sequence[Outcome]:
    """Delete the answers that are known; tokens that the form does not have are passed over (Quirk 22)."""
    by_form: dict[str, list[str]] = {}
    for key in sought.records.get("responses", ()):
        form, _, token = key.rpartition("/")
        by_form.setdefault(form, []).append(token)
    found = []
    for form, tokens in by_form.items():
        for some in chunks(tokens, BATCH):
            where = {"included_tokens": ",".join(some)}
            answer = api.request("DELETE", f"/forms/{form}/responses", params=where, allow=(404,))
            verdict = Verdict.NOT_FOUND if answer.status == 404 else Verdict.DONE
            found += [Outcome(Ref(token), verdict) for token in some]
    return found
