"""
What was given back of an invoice: its succeeded refunds, and credit notes issued after it was paid.

Neither is on the invoice, nor does a refund name it: the invoice's payments are what the two have in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from connectors.stripe.lists import Chunk, walk
from core.contract import Api

RECENT = timedelta(days=45)
"""In an incremental pull, refunds of invoices younger than this are read as one list, of older ones one payment at a time."""


class Refunds:
    """
    Refunds by payment, read newest first and only as far back as the invoices asked about.

    What is kept is one sum a refunded payment.
    """

    def __init__(self, api: Api, *, whole: bool) -> None:
        self.api = api
        self._oldest_walked = None if whole else int((api.now - RECENT).timestamp())
        self._chunks: Iterator[Chunk] = walk(api, "/refunds")
        self._read_to: float = float("inf")
        self._totals: Counter[str] = Counter()

    def of(self, invoice: Mapping[str, Any]) -> int:
        """Return what was given back of *invoice* (with its payments expanded), in the API's smallest unit."""
        if not invoice.get("amount_paid"):
            return 0
        given = self._credited(invoice["id"]) if invoice.get("post_payment_credit_notes_amount") else 0
        for payment in self._payments(invoice):
            how = payment.get("payment") or {}
            name = how.get("type")
            if name in {"payment_intent", "charge"} and isinstance(how.get(name), str):
                refunded = self._total(name, how[name], invoice["created"])
                # one payment may settle several invoices: no more was given back of this one than it took
                given += min(refunded, payment["amount_paid"]) if payment.get("amount_paid") else 0
        return given

    def _payments(self, invoice: Mapping[str, Any]) -> list[dict[str, Any]]:
        payments = invoice.get("payments") or {}
        if not payments.get("has_more"):
            return payments.get("data") or []
        return [row for chunk in walk(self.api, "/invoice_payments", {"invoice": invoice["id"]}) for row in chunk.rows]

    def _total(self, name: str, payment: str, since: int) -> int:
        if self._oldest_walked is not None and since < self._oldest_walked:
            found: Counter[str] = Counter()
            for chunk in walk(self.api, "/refunds", {name: payment}):
                _count(found, chunk)
            return found[payment]
        while self._read_to >= since:  # a refund is never older than its invoice
            chunk = next(self._chunks, Chunk([], None))
            _count(self._totals, chunk)
            self._read_to = chunk.next.created if chunk.next else float("-inf")
        return self._totals[payment]

    def _credited(self, invoice: str) -> int:
        """Return what credit notes gave back otherwise than by refunds, which are counted as such (Quirk 15)."""
        total = 0
        for chunk in walk(self.api, "/credit_notes", {"invoice": invoice}):
            for note in chunk.rows:
                if note.get("status") == "issued":
                    refunds = sum(refund.get("amount_refunded") or 0 for refund in note.get("refunds") or ())
                    total += max(0, (note.get("post_payment_amount") or 0) - refunds)
        return total


def _count(totals: Counter[str], chunk: Chunk) -> None:
    for refund in chunk.rows:
        if refund.get("status") == "succeeded":  # pending, failed and canceled ones gave nothing back
            for payment in (refund.get("payment_intent"), refund.get("charge")):
                if payment:
                    totals[payment] += refund["amount"]
