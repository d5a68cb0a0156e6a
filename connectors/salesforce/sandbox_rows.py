"""What the sandbox does with records by themselves and by 200: campaigns made, members put in and taken out, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from connectors.salesforce.sandbox_form import refused
from connectors.salesforce.sandbox_state import PREFIXES, State
from core.contract import Ask, ListChange, Reply

COLLECTION: Final = 200
STATUSES: Final = ("Sent", "Responded")


class RowError(Exception):
    """One row is refused."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class RowAnswers:
    """Rows of CampaignMember one by one; what really moved goes into the log."""

    def __init__(self, state: State, change_log: list[ListChange], *, gone_code: str) -> None:
        self.state, self.change_log, self.gone_code = state, change_log, gone_code
        self.locked: Counter[str] = Counter()
        """How many more times the row of a person, or a row by its id, is held by another process."""
        self.members: dict[tuple[str, str], str] = {}

    def find_anew(self) -> None:
        """Look at whose each row is now: a merge has handed some on."""
        rows = sorted(self.state.records["CampaignMember"].values(), key=lambda row: not row["IsDeleted"])
        self.members = {(str(r["CampaignId"]), str(r.get("ContactId") or r.get("LeadId"))): str(r["Id"]) for r in rows}

    def create(self, ask: Ask) -> Reply:
        values = ask.json()
        if ask.params["sobject"] != "Campaign" or not isinstance(values, dict):
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        unknown = values.keys() - self.state.fields["Campaign"].keys()
        if unknown:
            raise refused(400, "INVALID_FIELD", f"No such column '{min(unknown)}' on sobject of type Campaign")
        if not str(values.get("Name") or "").strip():
            raise refused(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]")
        if len(values["Name"]) > 80:
            raise refused(400, "STRING_TOO_LONG", "Campaign Name: data value too large")
        made = self.state.make("Campaign", {"Status": "Planned", "IsActive": False, **values})
        return Reply({"id": made["Id"], "success": True, "errors": []}, 201)

    def insert_many(self, ask: Ask) -> Reply:
        body = ask.json()
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list) or not records or body.get("allOrNone") is not False:
            raise refused(400, "JSON_PARSER_ERROR", "records and allOrNone are expected")
        if len(records) > COLLECTION:
            raise refused(400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call")
        return Reply([self._tried(lambda values=values: self.insert(values)) for values in records])

    def delete_many(self, ask: Ask) -> Reply:
        ids = [each for each in (ask.one("ids") or "").split(",") if each]
        if not ids or ask.one("allOrNone") != "false":
            raise refused(400, "REQUIRED_FIELD_MISSING", "ids and allOrNone are expected")
        if len(ids) > COLLECTION:
            raise refused(400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call")
        return Reply([self._tried(lambda id_=id_: self.remove(id_)) for id_ in ids])

    def insert(self, values: Mapping[str, Any]) -> str:
        """Put somebody into a campaign and return the row's id; RowError as the vendor refuses it."""
        if (values.get("attributes") or {"type": "CampaignMember"}).get("type") != "CampaignMember":
            raise RowError("INVALID_TYPE", "only members of campaigns are kept here")
        field = "ContactId" if values.get("ContactId") else "LeadId"  # if both, only ContactId is used
        campaign, person = str(values.get("CampaignId") or ""), str(values.get(field) or "")
        sobject = field.removesuffix("Id")
        if not person:
            raise RowError("REQUIRED_FIELD_MISSING", "Required fields are missing: [ContactId or LeadId]")
        if self.locked[person] > 0:
            self.locked[person] -= 1
            raise RowError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        for of, id_ in (("Campaign", campaign), (sobject, person)):
            self._exists(of, id_)
        if sobject == "Lead" and self.state.records["Lead"][person]["IsConverted"]:
            raise RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        if values.get("Status", "Sent") not in STATUSES:
            raise RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value for restricted picklist field: Status")
        if self._row(campaign, field, person) is not None:
            raise RowError("DUPLICATE_VALUE", "Already a campaign member.")
        made = self.state.make("CampaignMember", {"CampaignId": campaign, field: person})
        self.members[campaign, person] = made["Id"]
        self._log(campaign, "add", person)
        return str(made["Id"])

    def remove(self, row_id: str) -> str:
        """Delete a member by the id of its row; RowError as the vendor refuses it."""
        if not row_id.startswith(PREFIXES["CampaignMember"]) or len(row_id) != 18:
            raise RowError("MALFORMED_ID", "bad id")
        if self.locked[row_id] > 0:
            self.locked[row_id] -= 1
            raise RowError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        row = self.state.live("CampaignMember", row_id)
        if row is None:
            raise RowError(self.gone_code, "entity is deleted")
        row["IsDeleted"] = True
        self._log(row["CampaignId"], "remove", str(row.get("ContactId") or row["LeadId"]))
        return row_id

    def _exists(self, sobject: str, id_: str) -> None:
        if self.state.live(sobject, id_) is None:
            known = id_ in self.state.records[sobject]
            raise RowError("ENTITY_IS_DELETED" if known else "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")

    def _row(self, campaign: str, field: str, person: str) -> dict[str, Any] | None:
        """Return a person's live row in a campaign."""
        known = self.state.live("CampaignMember", self.members.get((campaign, person)))
        if known is not None and known.get(field) == person:
            return known
        rows = self.state.records["CampaignMember"]
        for row in rows.values() if len(rows) != len(self.members) else ():  # made by another way than ours
            if row["CampaignId"] == campaign and row.get(field) == person and not row["IsDeleted"]:
                return row
        return None

    def _tried(self, act: Any) -> dict[str, Any]:
        try:
            return {"id": act(), "success": True, "errors": []}
        except RowError as error:
            return {"success": False, "errors": [{"statusCode": error.code, "message": error.message, "fields": []}]}

    def _log(self, campaign: str, op: str, person: str) -> None:
        name = self.state.records["Campaign"][campaign]["Name"]
        self.change_log.append(ListChange(name, op, self.state.neutral.get(person, person)))
