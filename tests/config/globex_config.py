"""A sound config of the made-up vendor, for tests to add something wrong to."""

from __future__ import annotations

from collections.abc import Callable

from core.config.model import Config

SOUND = """\
[workspace]
database = "t.db"

[connections.crm]
connector = "globex"
token = { env = "GLOBEX_TOKEN" }
streams = ["people"]

[segments.hot]
title = "Hot leads"
where = 'country == "SE"'

[partitions.stage]
title = "Stage"
groups = { new = "country == 'SE'", old = "country == 'FI'" }
"""

Write = Callable[..., Config]
