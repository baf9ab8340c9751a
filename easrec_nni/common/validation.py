"""One-line messages from pydantic's validation errors."""

from __future__ import annotations

import reprlib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from easrec_nni.common.hints import did_you_mean

__all__ = ["first_problem"]

LONGEST_QUOTE = 300  # characters of file content quoted in a message
# YAML's aliases let a file of a kilobyte stand for gigabytes: quotes are cut at every level.
_WORDS = "literal["  # beginning of pydantic's name for a list of words, in the location of an error
_QUOTE = reprlib.Repr()
_QUOTE.maxlevel, _QUOTE.maxdict, _QUOTE.maxlist, _QUOTE.maxother = 2, 3, 4, 80


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """First validation problem in one line, with its key and, for a mistyped key, a suggestion.

    Parameters
    ----------
    error
        The validation error.
    model
        The model that was validated.

    Examples
    --------
    >>> from pydantic import ConfigDict
    >>> class Mine(BaseModel):
    ...     model_config = ConfigDict(extra="forbid")
    ...     seed: int = 0
    >>> for document in ({"sed": 1}, {"seed": "x"}):
    ...     try:
    ...         Mine.model_validate(document)
    ...     except ValidationError as error:
    ...         print(first_problem(error, Mine))
    unknown key 'sed'; did you mean 'seed'?
    seed: Input should be a valid integer, unable to parse string as an integer (got 'x')
    """
    problem = error.errors()[0]
    location = problem["loc"]
    key = ".".join(str(part) for part in location if part != "[key]")[:LONGEST_QUOTE]
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}; {did_you_mean(str(location[-1]), _keys(model, location[:-1]))}"
    if problem["type"] == "missing":
        return f"the key {key!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")[:LONGEST_QUOTE]
    if key.rpartition(".")[2].startswith(_WORDS):  # a word or another type: pydantic reports both, under the same key
        others = [other["msg"] for other in error.errors()[1:] if other["loc"][:-1] == location[:-1]]
        key = key.removesuffix(f".{location[-1]}")
        message = ", or ".join([message, *(other.removeprefix("Input should be ") for other in others)])
    return f"{key}: {message} (got {_QUOTE.repr(problem['input'])})" if key else message


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Valid keys of a section."""
    for part in location:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        field = fields.get(str(part))
        model = (_section(field.annotation) if field else None) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _section(annotation: Any) -> type[BaseModel] | None:
    """Model within a field's (possibly optional) type, or None."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
