"""What the address says to which a vendor sends a person back. Pure: nothing is asked, and no part of it is shown."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from core.errors import AuthError

DECLINED: Final = "access_denied"
_CODE = re.compile(r"[a-zA-Z0-9_.-]{1,60}")


@dataclass(frozen=True, slots=True)
class Granted:
    """The code that is good for one token."""

    code: str
    origin: str | None
    """Where the vendor says that this account's tokens are to be had."""

    def __repr__(self) -> str:
        return "Granted()"


def read_redirect(address: str, state: str, host_param: str = "") -> Granted:
    """
    Return what *address* grants.

    Raises:
        AuthError: it answers another sign-in, says no, or holds no code.
    """
    try:
        said = dict(parse_qsl(urlsplit(address.strip()).query))
    except ValueError:
        said = {}
    error, given = said.get("error"), said.get("state")
    if given is None and error is None and "code" not in said:
        raise AuthError("that is no address to which a sign-in leads back; start again, and copy the whole of it")
    if given is None and error is None:
        raise AuthError("the answer holds no state, so it may be anybody's; start again, and copy the whole address")
    if given is not None and not secrets.compare_digest(given.encode(), state.encode()):
        raise AuthError("the answer belongs to another sign-in (its state is not this one's); start again")
    if error == DECLINED:
        raise AuthError("the sign-in was declined at the vendor; nothing has changed", code=DECLINED)
    if error is not None:
        raise AuthError("the vendor refused the sign-in; nothing has changed", code=error if _CODE.fullmatch(error) else None)
    if not said.get("code"):
        raise AuthError("the vendor's answer holds no code; nothing has changed")
    return Granted(said["code"], said.get(host_param) if host_param else None)
