"""Settings that know several ways of signing in, of which a connection uses one."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel


def one_way(settings: BaseModel, *ways: Sequence[str]) -> None:
    """
    Raise ValueError unless exactly one of *ways* is filled in; a key that ends with `?` may be left out.

    A pydantic validator may call it: the text then names what to write.
    """
    given = {name for name in type(settings).model_fields if getattr(settings, name, None) is not None}
    chosen = [way for way in ways if any(key.rstrip("?") in given for key in way)]
    told = ", or ".join(" and ".join(key for key in way if not key.endswith("?")) for way in ways)
    if not chosen:
        raise ValueError(f"no credentials: give {told}")
    if len(chosen) > 1:
        raise ValueError(f"credentials of two kinds: give either {told}")
    missing = [key for key in chosen[0] if not key.endswith("?") and key not in given]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing: give {told}")
