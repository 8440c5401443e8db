"""Every setting is described where it is declared, for the reference page."""

from __future__ import annotations

from tracer1.config.loading import config_keys
from tracer1.config.reference import config_reference

SETTINGS = {setting.key: setting for setting in config_reference()}


def test_every_key_has_a_type_a_default_and_a_description() -> None:
    assert tuple(SETTINGS) == config_keys()
    assert [key for key, setting in SETTINGS.items() if not (setting.type and setting.description)] == []
    assert [key for key, setting in SETTINGS.items() if not setting.default] == [
        key for key, setting in SETTINGS.items() if setting.type == "section" and setting.default != "null"
    ]


def test_types_and_defaults_in_words() -> None:
    assert SETTINGS["output_dir"][1:3] == ("str", "required")
    assert SETTINGS["seed"][1:3] == ("int >= 0", "0")
    assert SETTINGS["stage1.delta"][1:3] == ("float > 1 or null", "3.0")
    assert SETTINGS["stage1.betas"][1:3] == ("2 x float >= 0 <= 1", "[0.9, 0.999]")
    assert SETTINGS["stage1.precision"][1:3] == ("bf16 or fp32", '"bf16"')
    assert SETTINGS["data.record"][1:3] == ("section", "null")
    assert SETTINGS["data.record.tasks"][1:3] == ("list of str", "required")
    assert SETTINGS["evaluation.max_steps"][1:3] == ("mapping", "{}")
    assert SETTINGS["plan.horizon"].description == "T: steps forecast; 1 is the reactive agent"
    assert SETTINGS["model"].description.startswith("The planner: ")
