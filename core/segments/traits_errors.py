"""What can be wrong in a trait: in a text of its own, or in one that it names."""

from __future__ import annotations

from core.segments.language import ExpressionError


class BrokenTrait(ExpressionError):  # noqa: N818 - what is wrong, in a word
    """A trait that is named has a problem of its own, which is told where it stands."""


class Circle(ExpressionError):  # noqa: N818 - as above
    """Something names itself, by way of *names*."""

    def __init__(self, names: tuple[str, ...], column: int) -> None:
        super().__init__(f"goes round in a circle: {' -> '.join(names)}", column)
        self.names = names


class TraitError(ExpressionError):
    """What is wrong in one text of a trait, with the text and the key under the trait's table."""

    def __init__(self, error: ExpressionError, trait: str, text: str, key: str) -> None:
        super().__init__(error.message, error.column, error.remedy)
        self.trait = trait
        self.text = text
        self.key = key
