"""A demo sets the log up as commands do."""

from __future__ import annotations

from support.logged import logging_as_before as logging_as_before
