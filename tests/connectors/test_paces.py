"""Every audience says where it writes, so that a plan knows which of the vendor's limits holds it up."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest
from support.suite import DESTINATIONS

from core.registry import load_connector


@pytest.mark.parametrize("name", DESTINATIONS)
def test_a_limit_holds_up_every_audience(name: str) -> None:
    """Else a plan would say that it takes no time."""
    connector = load_connector(name)
    for kind, audience in connector.audiences.items():
        limits = connector.manifest.limits
        holding = [one for one in limits if not one.paths or any(fnmatch(audience.path, glob) for glob in one.paths)]
        assert holding, f"{name} {kind}: no limit covers {audience.path or 'its requests'}"
