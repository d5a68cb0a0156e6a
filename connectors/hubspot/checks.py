"""Which account the token is for, and what it may do there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from connectors.hubspot import vendor
from connectors.hubspot.mapping import COMPANIES, CONTACTS, DEALS
from connectors.hubspot.objects import details, unknown_properties
from core.contract import Api, CheckStep, Json, Result
from core.errors import AuthError, ConfigError, ConnectorError, Problem, QuotaExhausted

SIGN_IN = "Make a new service key and set it as token; with client_id, run `tagalong connect` for this connection again."


def account(api: Api) -> str:
    """Return the portal's id; the setting `portal_id` where the token may not ask for it (Quirk 18)."""
    told: str | None = api.settings.portal_id
    try:
        portal = details(api).get("portalId")
    except AuthError as error:
        if error.status != 403:
            raise
        portal = None
    if portal is None and told is None:
        raise ConfigError(
            Problem(
                "HubSpot does not tell this token which account it belongs to",
                remedy="set portal_id in the connection: the Hub ID, shown in HubSpot's account menu",
            )
        )
    if portal is not None and told is not None and str(portal) != told:
        raise ConfigError(Problem(f"the token belongs to HubSpot account {portal}, but portal_id says {told}"))
    return str(portal if portal is not None else told)


def check(api: Api) -> Iterator[CheckStep]:
    """Say what works: the vendor reached, the token taken, and each thing that it must permit."""
    try:
        portal = CheckStep("account", Result.PASSED, detail=account(api))
    except ConfigError as error:
        portal = CheckStep("account", Result.FAILED, detail=str(error), remedy="Set portal_id to the account's Hub ID.")
    except AuthError as error:
        yield CheckStep("reach", Result.PASSED)
        yield CheckStep("authenticate", Result.FAILED, detail=str(error), remedy=SIGN_IN)
        return
    except QuotaExhausted as error:
        yield CheckStep("reach", Result.PASSED)
        yield CheckStep("authenticate", Result.SKIPPED, detail=str(error))
        return
    except ConnectorError as error:
        yield CheckStep("reach", Result.FAILED, detail=str(error), remedy="See whether api.hubapi.com answers from here.")
        return
    yield CheckStep("reach", Result.PASSED)
    yield CheckStep("authenticate", Result.PASSED)
    yield portal
    for of in (CONTACTS, COMPANIES, DEALS):
        scopes = f"crm.objects.{of.name}.read and crm.schemas.{of.name}.read"
        needed = of is CONTACTS
        without = "" if needed else f", or leave {of.name} out of the connection's streams"
        yield _step(f"read {of.name}", partial(unknown_properties, api, of), f"Grant {scopes}{without}.", needed=needed)
    lists = {"query": "", "objectTypeId": vendor.CONTACTS_TYPE, "offset": 0, "count": 1}
    yield _step(
        "read lists",
        lambda: api.post(vendor.path("crm/lists", "search"), json=lists, repeat=True) and (),
        "Grant crm.lists.read (and crm.lists.write) where a sync writes lists.",
        needed=False,
    )
    yield CheckStep("write lists", Result.SKIPPED, detail="only a write would tell; syncs need crm.lists.write")


def _step(name: str, ask: Callable[[], Json], remedy: str, *, needed: bool) -> CheckStep:
    """Ask, and say what came of it; *ask* returns the names of configured properties that the portal does not have."""
    try:
        unknown = ask()
    except AuthError as error:
        return CheckStep(name, Result.FAILED if needed else Result.SKIPPED, detail=str(error), remedy=remedy)
    except QuotaExhausted as error:
        return CheckStep(name, Result.SKIPPED, detail=str(error))
    except ConnectorError as error:
        return CheckStep(name, Result.FAILED, detail=str(error), remedy="Try again; if it stays, see HubSpot's status page.")
    if unknown:
        detail = "no such property: " + ", ".join(unknown)
        return CheckStep(name, Result.FAILED, detail=detail, remedy="Correct the names in the connection's settings.")
    return CheckStep(name, Result.PASSED)
