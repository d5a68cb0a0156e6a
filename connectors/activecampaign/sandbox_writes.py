"""
What changes the sandbox's account, behind HTTP: tags, custom fields, contacts one by one and imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal
from uuid import uuid4

from connectors.activecampaign.sandbox_shapes import invalid, json_of, known, value_json
from connectors.activecampaign.sandbox_state import Account, Import, looks_right
from core.contract import Ask, Refused, Reply, Window

MAX_IMPORT: Final = 250
MAX_BYTES: Final = 400_000
MINUTE: Final = {"many": 100, "one": 20}
"""Imports a minute, of several contacts and of one."""
TOO_OFTEN: Final = (
    "Up to 100 imports may be requested per minute."
    "Please batch contacts into larger requests, or retry this request in a minute."
)
NOT_QUEUED: Final = (
    "JSON payload did not pass validation. Please fix failure Reasons and retry. The import was not queued for processing."
)


@dataclass(slots=True)
class Writes:
    """The handlers; the switches are `ActiveCampaignSandbox`'s."""

    account: Account
    windows: Mapping[str, Window]
    import_takes: timedelta
    excludes_by: Literal["contact", "payload"]
    tags_again: Literal["same", "refused"]
    field_answer: Literal["field", "fields"]
    automated: set[str] = field(default_factory=set)

    def table(self) -> dict[tuple[str, str], Callable[[Ask], Reply]]:
        """Return the handlers by method and path."""
        return {
            ("POST", "/contact/sync"): self._sync_contact,
            ("POST", "/tags"): self._post_tag,
            ("POST", "/contactTags"): self._post_contact_tag,
            ("DELETE", "/contactTags/{id}"): self._delete_contact_tag,
            ("DELETE", "/contacts/{id}"): self._delete_contact,
            ("POST", "/fields"): self._post_field,
            ("POST", "/fieldRels"): self._post_relation,
            ("POST", "/import/bulk_import"): self._post_import,
        }

    def _sync_contact(self, ask: Ask) -> Reply:
        given = json_of(ask).get("contact", {})
        if not looks_right(given.get("email")):
            raise invalid("Email address is not valid", "email_invalid", "email")
        found = self.account.by_email(given["email"])
        contact = found or self.account.create(given["email"], self.account.now())
        contact.first_name, contact.last_name = (
            given.get(n, o) for n, o in (("firstName", contact.first_name), ("lastName", contact.last_name))
        )
        contact.deleted = False
        for each in given.get("fieldValues", []):
            self.account.set_value(contact, int(each["field"]), str(each["value"]))
        values = [value_json(contact.id, *pair) for pair in contact.values.items()]
        return Reply({"fieldValues": values, "contact": self.account.contact_json(contact)}, 200 if found else 201)

    def _delete_contact(self, ask: Ask) -> Reply:
        self.account.erase(self.account.contacts[known(self.account.contacts, ask, "Subscriber")].email)
        return Reply({})

    def _post_tag(self, ask: Ask) -> Reply:
        given = json_of(ask).get("tag", {})
        if any(name.casefold() == given["tag"].casefold() for name in self.account.tags.values()):
            why = f"Duplicate entry 'contact-{given['tag']}' for key 'typetag'"
            raise Refused(422, {"message": "Could not process request", "error": why})
        id_ = self.account.next_id()
        self.account.tags[id_] = given["tag"]
        return Reply({"tag": self.account.tag_json(id_)}, 201)

    def _post_contact_tag(self, ask: Ask) -> Reply:
        given = json_of(ask).get("contactTag", {})
        if not given.get("contact") or not given.get("tag"):
            raise invalid("Missing attribute", None, "contact")
        contact = self.account.contacts.get(int(given["contact"]))
        if contact is None or int(given["tag"]) not in self.account.tags:
            what = "Contact" if contact is None else "Tag"
            raise Refused(404, {"errors": [{"status": 404, "title": "Not Found", "detail": f"{what} not found"}]})
        held = self.account.association(contact.id, int(given["tag"]))
        if held is not None and self.tags_again == "refused":
            raise invalid("The contact has this tag already", "duplicate", "tag")
        id_ = held or self.account.tag(contact, int(given["tag"]))
        return Reply({"contactTag": self.account.association_json(id_, contact.id, int(given["tag"]))}, 201)

    def _delete_contact_tag(self, ask: Ask) -> Reply:
        self.account.untag(known(self.account.tagged, ask, "SubscriberTag"))
        return Reply({})

    def _post_field(self, ask: Ask) -> Reply:
        given = json_of(ask).get("field", {})
        if any(made["title"] == given["title"] for made in self.account.fields.values()):
            raise invalid("There is already a field with this title", "duplicate", "title")
        id_ = self.account.next_id()
        self.account.fields[id_] = {"title": given["title"], "type": given["type"]}
        if self.field_answer == "field":
            return Reply({"field": self.account.field_json(id_)}, 201)
        return Reply(
            {"fieldOptions": [], "fieldRels": [], "fields": [self.account.field_json(i) for i in self.account.fields]}, 201
        )

    def _post_relation(self, ask: Ask) -> Reply:
        given = json_of(ask)["fieldRel"]
        self.account.related.add((given["field"], given["relid"]))
        return Reply({"fieldRel": {**given, "links": [], "id": str(self.account.next_id())}}, 201)

    def _post_import(self, ask: Ask) -> Reply:
        body = json_of(ask)
        rows = body.get("contacts", [])
        if not self.windows["many" if len(rows) > 1 else "one"].admits():
            raise Refused(400, {"success": 0, "message": "Rate limit exceeded.", "failureReasons": [TOO_OFTEN]})
        if not 0 < len(rows) <= MAX_IMPORT or len(ask.body) > MAX_BYTES:
            raise Refused(400, {"success": 0, "message": "The payload is too large.", "failureReasons": []})
        wrong = [i for i, row in enumerate(rows) if not looks_right(row.get("email"))]
        if wrong:
            reasons = [{"contact": i, "failureReason": "Field 'email' incorrect format"} for i in wrong]
            raise Refused(400, {"success": 0, "message": NOT_QUEUED, "failureReasons": reasons})
        around = body.get("exclude_automations") is True
        spared = {
            row["email"]
            for row in rows
            if (row.get("exclude_automations") is True if self.excludes_by == "contact" else around)
        }
        self.automated |= {row["email"] for row in rows} - spared
        batch = str(uuid4())
        self.account.imports[batch] = Import(rows, self.account.now() + self.import_takes)
        self.account.queued.append(self.account.imports[batch])
        return Reply({"Success": 1, "queued_contacts": len(rows), "batchId": batch, "message": "Contact import queued"})
