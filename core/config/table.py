"""What every table of the config file is: a model that knows its keys, and how a validator says what is wrong."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


def problem(message: str, remedy: str | None = None) -> PydanticCustomError:
    """Return what a validator raises, with an optional sentence on what to do."""
    return PydanticCustomError("config", "{message}", {"message": message, "remedy": remedy})


class Table(BaseModel):
    """Base of the file's tables: no key that is not known."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)
