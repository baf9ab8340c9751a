"""Messages of fields that take a word or a number."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError

from easrec_nni.common.validation import first_problem


class Section(BaseModel):
    size: Literal["auto", "none"] | int = "auto"


class Settings(BaseModel):
    size: Literal["auto"] | int = "auto"
    section: Section = Section()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"size": "small"}, "size: Input should be 'auto', or a valid integer, unable to parse string as an integer"),
        ({"section": {"size": 1.5}}, "section.size: Input should be 'auto' or 'none', or a valid integer"),
    ],
)
def test_a_word_or_a_number_is_asked_for_under_the_key(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(document)
    assert first_problem(caught.value, Settings).startswith(message)
