from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tracer1.config.loading import load_config
from tracer1.data.records import element_from_json, episode_from_json
from tracer1.errors import DataError, SetupError, UsageError
from tracer1.files import NestedTooDeep, atomic, json_lines, parse_json, parse_yaml, read_json, read_yaml, write_atomic
from tracer1.plan.windows import reference_from_json


def one_line(read: Callable[[], object], error: type[Exception]) -> bool:
    """Whether ``read`` succeeds or fails with one line."""
    try:
        read()
    except error as raised:
        return "\n" not in str(raised)
    return True


# ---- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "\\ud800"}', "half a character"),
        ("[" * 300 + "]" * 300, "nested deeper than 200 brackets"),
        ("[" * 100_000, "nested deeper than 200 brackets"),
        ("9" * 5000, "Exceeds the limit"),
        ("[NaN]", "NaN is not a JSON number"),
    ],
)
def test_json_that_no_reader_can_use_is_a_value_error(text: str, message: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(ValueError, match=message) as raised:
            parse_json(form)
        assert "\n" not in str(raised.value)


def test_brackets_in_strings_are_no_nesting() -> None:
    odd = '["' + "[" * 300 + '\\"", "\\u00e9"]'
    assert parse_json(odd)[0].startswith("[[")
    with pytest.raises(NestedTooDeep):
        parse_json("[" * 250 + "]" * 250)


def test_a_file_is_named_by_its_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json: not JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"b\.json: cannot be read: No such file"):
        read_json(tmp_path / "b.json")
    for name in ("\ud800", "a\0b"):
        with pytest.raises(DataError, match="cannot name a file"):
            read_json(tmp_path / name)
    (tmp_path / "a.jsonl").write_text('{}\n{"id": "\\udc80"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl line 2: not JSON: half a character"):
        list(json_lines(tmp_path / "a.jsonl"))


big = st.sampled_from([10**400, -(10**400), 10**30, 1 << 40, 1e308, -1])
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | big | st.text(max_size=3) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
EPISODE = {
    "episode_id": "x",
    "source": "own",
    "platform": "web",
    "goal": "g",
    "split": "train",
    "steps": [],
    "labels": {},
}
STEP = {
    "screenshot": None,
    "size": [1, 1],
    "abstraction": "",
    "instruction": "go",
    "action": {"action_type": "click", "point": [0, 0]},
    "box": None,
    "observation": None,
    "status": "done",
}
ELEMENT = {"role": "r", "name": "n", "box": [0, 0, 1, 1], "focused": False, "bears_text": True}
REFERENCE = {"action": {"action_type": "click", "step_instruction": "go"}, "box": None, "size": [1, 1]}


@given(st.sampled_from([*EPISODE]), st.sampled_from([*STEP]), st.sampled_from([*ELEMENT]), json_values)
@example("labels", "box", "box", [10**400] * 4)
@example("labels", "action", "box", {"action_type": "click", "point": [10**400, 1]})
@example("labels", "size", "box", [10**400, 1])
def test_a_record_of_any_shape_is_read_or_is_a_data_error(field: str, step: str, element: str, value: Any) -> None:
    def attempt(read: Callable[[Any], object], record: Any) -> None:
        assert one_line(lambda: read(record), DataError)

    attempt(episode_from_json, {**EPISODE, field: value})
    attempt(episode_from_json, {**EPISODE, "steps": [{**STEP, step: value}]})
    attempt(element_from_json, {**ELEMENT, element: value})
    attempt(reference_from_json, value)
    for name in ("action", "box", "size", "platform", "files", "status", "elements"):
        attempt(reference_from_json, [{**REFERENCE, name: value}])


@given(st.binary(max_size=60) | st.text('{}[]",:0123456789.eE+-\\u d8\n', max_size=30).map(str.encode))
def test_any_bytes_are_json_or_one_line(data: bytes) -> None:
    assert one_line(lambda: parse_json(data), ValueError)


# ---- YAML ------------------------------------------------------------------------------------------------------------

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 2024-13-45", "does not fit its type: month must be in 1..12"),
        ("a: " + "1" * 5000, "does not fit its type: Exceeds the limit"),
        ("a: !!int a", "does not fit its type: invalid literal"),
        ("a: !!bool x", "does not fit its type"),
        ("a: !!timestamp x", "does not fit its type"),
        ("a: !!float ''", "does not fit its type"),
        ("[" * 100_000, "line 1: nested deeper than 50 levels"),
        ("a: &a [*a]", r"line 1: \*a holds itself"),
        (LAUGHS, "line 5: more than 100,000 values"),
        ('a: "\\ud800"', "line 1: half a character"),
        ("a: \0", "special characters are not allowed"),
        ("- a\nb: 1", "line 2: expected"),
        ("a: !!python/object:os.system x", "line 1: could not determine a constructor"),
        ("a" * (1 << 21), "are read at most"),
    ],
)
def test_yaml_that_is_none_is_a_value_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        parse_yaml(text)
    assert "\n" not in str(raised.value)
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError, match=rf"c\.yaml: not YAML: .*{message}"):
        load_config(tmp_path / "c.yaml")


def test_a_yaml_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"a: \xff")
    with pytest.raises(DataError, match=r"c\.yaml: not UTF-8 text: invalid start byte at byte 3"):
        read_yaml(tmp_path / "c.yaml")
    with pytest.raises(UsageError, match="cannot name a file"):
        load_config(tmp_path / "\ud800.yaml")


def test_aliases_and_numbers_are_read() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\nc: 3e-5") == {"a": [1, 2], "b": [1, 2], "c": 3e-5}


@given(
    st.text("{}[]\",:&*!|>-?%@ \n0123456789abint<~.\t'#\\", max_size=40)
    | st.binary(max_size=20).map(lambda b: b.decode("latin-1"))
)
@example("? [a]: b")
@example("<<: 1")
@example("!!map [1]")
@example("!!set {a: b}\n")
@example("!!omap [1]")
@example("=")
def test_any_text_is_yaml_or_one_line(text: str) -> None:
    assert one_line(lambda: parse_yaml(text), ValueError)


@given(json_values)
def test_any_value_in_a_configuration_is_one_line(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    for text in (yaml.safe_dump(value), yaml.safe_dump({"output_dir": "x", "data": {"train": value}, "seed": value})):
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        assert one_line(lambda: load_config(path), UsageError)


# ---- writing ---------------------------------------------------------------------------------------------------------


def test_a_link_is_followed_to_the_file_that_it_points_to(tmp_path: Path) -> None:
    target, link = tmp_path / "far" / "report.html", tmp_path / "link.html"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"

    dangling = tmp_path / "dangling.html"
    dangling.symlink_to(tmp_path / "far" / "made.html")
    write_atomic(dangling, b"made")
    assert dangling.is_symlink()
    assert (tmp_path / "far" / "made.html").read_bytes() == b"made"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling.html", "far", "link.html"]


def test_a_device_is_written_to_and_stays_one() -> None:
    write_atomic(Path("/dev/null"), b"gone")
    assert Path("/dev/null").is_char_device()


def test_a_full_device_is_one_line() -> None:
    with pytest.raises(SetupError, match="/dev/full: the disk is full"):
        write_atomic(Path("/dev/full"), bytes(100_000))
    assert Path("/dev/full").is_char_device()


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [sys.executable, "-c", f"print(open({str(pipe)!r}).read())"], stdout=subprocess.PIPE
    ) as reader:
        with atomic(pipe) as handle:
            handle.write(b"through")
        assert reader.communicate()[0].strip() == b"through"


@pytest.mark.parametrize("name", ["\ud800", "a\0b"])
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="cannot name a file"):
        write_atomic(tmp_path / name, b"")
