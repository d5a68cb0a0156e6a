"""Which org the token is for, and what the user that we run as may do there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from connectors.salesforce import vendor
from connectors.salesforce.mapping import CONTACTS, LEADS, TYPES, ObjectType
from connectors.salesforce.pull import wanted
from core.contract import Api, CheckStep, Json, Step, check_steps
from core.errors import AuthError, ConfigError, Problem, ProtocolError

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {"contacts": ("Email",), "leads": ("Email",)}
"""Fields without which a stream is of little use."""


def account(api: Api) -> str:
    """Return the org's id; a sandbox of an org has another."""
    return str(_organization(api)["Id"])


def check(api: Api) -> Iterator[CheckStep]:
    """Say what works: the host and the version, the sign-in, each kind of object, the campaigns, the day's requests."""
    refused = "Have the user's permission set allow API Enabled and the object and its fields"
    steps = [
        Step("authenticate", _sign_in, SIGN_IN_REMEDY),
        Step(
            "reach", _reach, "Check the network and the setting domain; install a newer Tagalong where the version is retired."
        ),
        Step("right org", _right_org, "Correct the setting sandbox, or sign in to the other org."),
    ]
    for of in TYPES:
        without = "" if of is CONTACTS else f", or leave {of.name} out of the connection's streams"
        steps.append(Step(f"read {of.name}", _reading(of), f"{refused}{without}.", needed=of is CONTACTS))
    steps.append(Step("write campaign members", _campaigns, CAMPAIGN_REMEDY, needed=False))
    steps.append(Step("requests left", _requests, "Wait, or raise the setting quota_percent.", needed=False))
    return check_steps(api, steps)


SIGN_IN_REMEDY: Final = (
    "Check client_id, and client_secret, private_key or `tagalong connect`; that the app has the scope api and a Run As user "
    "(client_credentials) or pre-authorised users (jwt_bearer); and that domain is the org's My Domain."
)
CAMPAIGN_REMEDY: Final = (
    "Where a sync writes campaigns: allow create and delete on Campaign Member, create on Campaign, and tick Marketing User."
)


def _sign_in(api: Api) -> str:
    found = _organization(api)
    return f"org {found['Id']}{', a sandbox' if found.get('IsSandbox') else ''}"


def _reach(api: Api) -> str:
    listed = api.get(vendor.VERSIONS)
    known = [f"v{each.get('version')}" for each in listed] if isinstance(listed, list) else []
    if vendor.API_VERSION not in known:
        raise ConfigError(Problem(f"this org does not offer version {vendor.API_VERSION} of the API"))
    return f"{vendor.API_VERSION} of {len(known)} versions"


def _right_org(api: Api) -> str:
    there, said = bool(_organization(api).get("IsSandbox")), api.settings.is_sandbox
    if there != said and api.settings.base_url is None:
        kinds = {True: "a sandbox", False: "a production org"}
        raise ConfigError(Problem(f"this is {kinds[there]}, and the settings speak of {kinds[said]}"))
    return ""


def _reading(of: ObjectType) -> Callable[[Api], str]:
    def ask(api: Api) -> str:
        described = vendor.describe(api, of.sobject)
        own = set(wanted(api, of)) - set(of.fields)
        seen = {name.lower() for name in described.spelled(wanted(api, of))}
        unknown = sorted(name for name in own if name.lower() not in seen)
        if unknown:
            raise ConfigError(Problem(f"{of.sobject} has no such field, or the user may not see it: {', '.join(unknown)}"))
        hidden = [name for name in NEEDED.get(of.name, ()) if name.lower() not in seen]
        if hidden:
            raise AuthError(f"the user may not see {of.sobject}.{hidden[0]}")
        vendor.ask(api, f"SELECT Id FROM {of.sobject} LIMIT 1")
        return _missing(of, seen)

    return ask


def _missing(of: ObjectType, seen: set[str]) -> str:
    opted_out = "HasOptedOutOfEmail"
    if of in (CONTACTS, LEADS) and opted_out.lower() not in seen:
        return f"{opted_out} is hidden: who opted out of e-mail is not known"
    return ""


def _campaigns(api: Api) -> str:
    member, campaign = (vendor.describe(api, sobject) for sobject in ("CampaignMember", "Campaign"))
    lacking = [
        what
        for what, may in (
            ("create on CampaignMember", member.createable),
            ("delete on CampaignMember", member.deletable),
            ("create on Campaign", campaign.createable),
        )
        if not may
    ]
    if lacking:
        raise AuthError(f"the user lacks {', '.join(lacking)}")
    return ""


def _requests(api: Api) -> str:
    body: Json = api.get(f"{vendor.ROOT}/limits")
    daily = body.get("DailyApiRequests") if isinstance(body, dict) else None
    if not isinstance(daily, dict):
        raise ProtocolError("the org's limits do not name its requests")
    return f"{daily.get('Remaining')} of {daily.get('Max')}"


def _organization(api: Api) -> Json:
    found = vendor.ask(api, "SELECT Id,IsSandbox FROM Organization LIMIT 1").records
    if not found:
        raise ProtocolError("Salesforce does not say which org this is")
    return found[0]
