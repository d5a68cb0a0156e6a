"""The sandbox's tags: one set a module, counted, put on and taken off record by record."""

from __future__ import annotations

from typing import Any

from connectors.zoho_crm.sandbox_form import body_of, problem, refused
from connectors.zoho_crm.sandbox_state import State, Stored, text
from core.contract import Ask, Reply

MAX_NAME = 25
MAX_IDS = 500


class TagAnswers:
    """Answers everything about tags. *locked* holds the vendor-side ids of records that somebody is busy with."""

    def __init__(
        self, state: State, *, rows_status: int, absent_is_error: bool, as_objects: bool, per_record: int, per_module: int
    ) -> None:
        self.state = state
        self.locked: set[str] = set()
        self._rows_status, self._absent_is_error, self._as_objects = rows_status, absent_is_error, as_objects
        self._per_record, self._per_module = per_record, per_module

    def listed(self, ask: Ask) -> Reply:
        tags = self.state.tags[ask.one("module") or ""]
        if not tags:
            return Reply(status=204)
        at = text(self.state.now())
        rows = [
            {"id": id_, "name": name, "color_code": None, "created_time": at, "modified_time": at, "created_by": {"id": "1"}}
            for id_, name in tags.items()
        ]
        return Reply({"tags": rows, "info": {"count": len(rows), "allowed_count": self._per_module}})

    def make(self, ask: Ask) -> Reply:
        rows = [self._make(ask.one("module") or "", str(tag.get("name") or "")) for tag in body_of(ask).get("tags") or []]
        if not rows:
            raise refused(400, "MANDATORY_NOT_FOUND", "required field not found", api_name="tags")
        return Reply({"tags": rows}, 201 if all(row["code"] == "SUCCESS" for row in rows) else 400)

    def _make(self, module: str, name: str) -> dict[str, Any]:
        tags = self.state.tags[module]
        if not name or len(name) > MAX_NAME:
            return problem("INVALID_DATA", "the tag name is invalid", maximum_length=MAX_NAME)
        if any(one.casefold() == name.casefold() for one in tags.values()):
            return problem("DUPLICATE_DATA", "duplicate data")
        if len(tags) >= self._per_module:
            return problem("LIMIT_EXCEEDED", "tag limit exceeded", limit=self._per_module)
        id_ = self.state.serial("tags")
        tags[id_] = name
        return {"code": "SUCCESS", "details": {"id": id_}, "message": "tags created successfully", "status": "success"}

    def change(self, ask: Ask, *, on: bool) -> Reply:
        """Put one tag on records or take it off; without over_write=false all their others go."""
        body, module = body_of(ask), ask.params["module"]
        ids, wanted = body.get("ids"), body.get("tags")
        if not isinstance(ids, list) or not isinstance(wanted, list) or not ids or len(wanted) != 1:
            raise refused(400, "MANDATORY_NOT_FOUND", "required field not found", api_name="ids")
        if len(ids) > MAX_IDS:
            raise refused(400, "LIMIT_EXCEEDED", "the limit of ids is exceeded", limit=MAX_IDS)
        tag = self._tag(module, wanted[0], on=on)
        rows = []
        for id_ in ids:
            stored = self.state.records[module].get(str(id_))
            rows.append(self._change(stored, str(id_), tag, on=on, over_write=body.get("over_write") is True))
        done = sum(row["status"] == "success" for row in rows)
        answer = {"data": rows, "wf_scheduler": False, "success_count": str(done), "locked_count": "0"}
        return Reply(answer, 200 if done == len(rows) else self._rows_status)

    def _tag(self, module: str, named: dict[str, Any], *, on: bool) -> str | None:
        """Return the id: of what is given, else of the name; an unknown name is made a tag by an add."""
        tags = self.state.tags[module]
        if "id" in named:
            if str(named["id"]) not in tags:
                raise refused(400, "INVALID_DATA", "the id given seems to be invalid", api_name="id")
            return str(named["id"])
        found = next((id_ for id_, name in tags.items() if name.casefold() == str(named.get("name")).casefold()), None)
        if found is None and on:
            made = self._make(module, str(named.get("name")))
            if made["code"] != "SUCCESS":
                raise refused(400, str(made["code"]), "the tag cannot be made")
            found = str(made["details"]["id"])
        return found

    def _change(self, stored: Stored | None, id_: str, tag: str | None, *, on: bool, over_write: bool) -> dict[str, Any]:
        if stored is None:
            return problem("INVALID_DATA", "the id given seems to be invalid", id=id_)
        if id_ in self.locked:
            return problem("RECORD_LOCKED", "the record is locked", id=id_)
        details: dict[str, Any] = {"id": id_}
        if on and over_write:
            for other in [each for each in stored.tags if each != tag]:
                self.state.tag(stored, other, on=False)
        if on and tag is not None and tag not in stored.tags and len(stored.tags) >= self._per_record:
            details["not_added_tags"] = [{"name": self.state.tags[stored.module][tag], "id": tag}]
        elif not on and self._absent_is_error and tag not in stored.tags:
            return problem("INVALID_DATA", "the tag given is not on the record", id=id_)
        elif tag is not None:
            self.state.tag(stored, tag, on=on)
        names = [(each, self.state.tags[stored.module][each]) for each in stored.tags]
        details["tags"] = (
            [{"name": n, "id": i, "color_code": None} for i, n in names] if self._as_objects else [n for _, n in names]
        )
        return {"code": "SUCCESS", "details": details, "message": "tags updated successfully", "status": "success"}
