from __future__ import annotations

import pytest

from tracer1.errors import UsageError
from tracer1.models.scripted import ScriptedModel
from tracer1.types import Model

PROMPT = ({"role": "user", "content": "one"},)
OTHER = ({"role": "user", "content": "two"},)


def test_a_list_is_said_in_order() -> None:
    model: Model = ScriptedModel(["a", "b", "c"])
    assert model.complete([PROMPT, OTHER]) == ["a", "b"]
    assert model.complete([PROMPT]) == ["c"]
    with pytest.raises(UsageError, match="has only 3 completions"):
        model.complete([PROMPT])


def test_a_function_sees_the_prompt() -> None:
    model = ScriptedModel(lambda prompt: prompt[0]["content"].upper())
    assert model.complete([PROMPT, OTHER]) == ["ONE", "TWO"]
    assert model.prompts == [PROMPT, OTHER]
    assert model.complete([]) == []
