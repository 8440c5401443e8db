"""The command line as a user meets it: its help, its exit codes, and one line on stderr for whatever goes wrong."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from tracer1.cli import common, training
from tracer1.cli import main as cli
from tracer1.config.loading import load_config
from tracer1.data.store import EpisodeStore, read_episodes, write_episodes
from tracer1.errors import SetupError, UsageError
from tracer1.plan.text import render_plan
from tracer1.types import Action, Plan, Step

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Call ``tracer1`` with these words in this process; what it writes and its exit code."""
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")
    monkeypatch.setenv("COLUMNS", "200")

    def tracer1(*words: object, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "argv", ["tracer1", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return tracer1


def one_line(result: Result, code: int, *words: str) -> None:
    """The command failed with ``code`` and said why in one line, after what it had said of its progress."""
    assert result.code == code, result
    *before, last = result.err.splitlines()
    assert last.startswith("tracer1: ")
    assert not [line for line in before if not line.endswith(" ...")]
    for word in words:
        assert word in last


def commands() -> Iterator[tuple[str, ...]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, inner in getattr(command, "commands", {}).items():
            yield (*path, name)
            yield from walk(inner, (*path, name))

    yield from walk(typer.main.get_command(cli.app), ())


GROUPS = {path[:-1] for path in commands()}


# ---- help ------------------------------------------------------------------------------------------------------------


def test_the_contracts_commands_are_there() -> None:
    there = {" ".join(path) for path in commands()}
    assert there >= {
        "demo",
        "doctor",
        "data record",
        "data windows",
        "data inspect",
        "check",
        "train",
        "reward",
        "act",
        "evaluate",
        "bench",
        "report",
        "view",
    }


@pytest.mark.parametrize("path", [path for path in commands() if path not in GROUPS], ids=" ".join)
def test_every_commands_help_has_an_example(run: Callable[..., Result], path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.code == 0
    assert f"Example: tracer1 {' '.join(path)}" in " ".join(result.out.split())


def test_no_command_shows_the_help(run: Callable[..., Result]) -> None:
    for words in ((), ("data",)):
        result = run(*words)
        assert result.code == 2
        assert "Usage" in result.out + result.err


@pytest.mark.parametrize(
    "words", [("dance",), ("reward",), ("train", "x.yaml", "--stage", "3"), ("reward", "--stage", "one", "x")]
)
def test_wrong_words_are_wrong_usage(run: Callable[..., Result], words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.code == 2
    assert "Traceback" not in result.err


# ---- configuration ---------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(f"output_dir: {tmp_path}/run\ndata: {{train: {tmp_path}/none.parquet}}\nexecutor: {{name: dom}}\n")
    return path


def test_an_unknown_key_names_the_nearest(run: Callable[..., Result], config: Path) -> None:
    config.write_text(config.read_text() + "stage1: {group_sice: 4}\n")
    one_line(run("train", config), 2, "config.yaml", "unknown key 'stage1.group_sice'", "'stage1.group_size'")
    one_line(run("check", config), 2, "'stage1.group_size'")


def test_an_unknown_override_names_the_nearest(run: Callable[..., Result], config: Path) -> None:
    one_line(run("train", config, "stage1.learning_rate=1"), 2, "unknown key 'stage1.learning_rate'")
    one_line(run("train", config, "stage1.betta=1"), 2, "did you mean 'stage1.beta'")
    one_line(run("train", config, "nonsense"), 2, "expected key=value")
    one_line(run("train", config, "stage1.steps=many"), 2, "stage1.steps", "'many'")


def test_a_config_that_is_not_there(run: Callable[..., Result], tmp_path: Path) -> None:
    for command in ("train", "check"):
        one_line(run(command, tmp_path / "none.yaml"), 2, "none.yaml", "No such file")
    (tmp_path / "broken.yaml").write_text("a: [")
    one_line(run("train", tmp_path / "broken.yaml"), 2, "broken.yaml: not YAML: line ")


def test_windows_that_are_not_there(run: Callable[..., Result], config: Path) -> None:
    one_line(run("train", config, "--dry-run"), 1, "none.parquet: no such file", "tracer1 data windows")


def test_a_warm_up_without_dimensions(run: Callable[..., Result], config: Path) -> None:
    one_line(run("train", config, "--stage", "warmup"), 2, "'nano' section")


def test_the_warm_ups_plan(run: Callable[..., Result], config: Path) -> None:
    result = run("train", config, "--stage", "warmup", "--dry-run", "warmup.steps=7", "model.path=models/x")
    assert result.code == 0
    assert "then 7 of 24, into models/x" in result.out


def test_a_failed_check_is_exit_code_one(run: Callable[..., Result], config: Path) -> None:
    result = run("check", config, "model.path=/nowhere")
    assert result.code == 1
    assert "FAIL" in result.out
    assert result.err == ""
    as_json = run("check", config, "model.path=/nowhere", "--json")
    assert as_json.code == 1
    assert {"name", "ok", "detail", "remedy", "optional", "tokens"} == as_json.records()[0].keys()
    assert [item["name"] for item in as_json.records() if not item["ok"]] == ["model", "train data"]


@pytest.mark.parametrize("out", ["2026", "x: y", "[a", "null", "a # b", "3e5", "'q"])
def test_an_output_folder_may_have_any_name(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    """An option is a value, not YAML: each command gets as far as the fault that its configuration names."""
    config = tmp_path / "config.yaml"
    config.write_text("output_dir: x\nexecutor: {name: nobody}\n")
    monkeypatch.chdir(tmp_path)
    one_line(run("demo", "--out", out, "--config", config), 2, "no executor 'nobody'")
    one_line(run("reproduce", "--out", out, "--config", config), 2, "no executor 'nobody'")
    one_line(run("evaluate", "chess", "--model", "m", "--out", out, "--config", config), 2, "no environment 'chess'")
    resolved = load_config(ROOT / common.DEMO_CONFIG, values=training.demo_values(True, Path(out)))
    assert (resolved.output_dir, resolved.data.train) == (out, f"{out}/data/train.parquet")
    assert resolved.stage1.steps == training.QUICK["stage1.steps"]


def test_an_override_has_priority_over_an_option(config: Path) -> None:
    values = {"output_dir": "a: b", "stage1.steps": 7}
    assert load_config(config, values=values).output_dir == "a: b"
    loaded = load_config(config, ["stage1.steps=9"], values)
    assert (loaded.output_dir, loaded.stage1.steps) == ("a: b", 9)
    with pytest.raises(UsageError, match=r"output_dir\.x: output_dir is a value, not a section"):
        load_config(config, values={"output_dir.x": 1})


# ---- reward ----------------------------------------------------------------------------------------------------------

STEPS = (Step("form", "click", "click the 'A' field"), Step("form", "type", "type 'b'", "done"))
GOLD = json.dumps({"id": "gold", "completion": render_plan(Plan(STEPS)), "reference": ["click", "type"]})


@pytest.mark.parametrize("profile", ["paper", "prototype"])
def test_rewards_of_a_file(run: Callable[..., Result], tmp_path: Path, profile: str) -> None:
    (tmp_path / "plans.jsonl").write_text(f'{GOLD}\n\n{{"id": 2, "completion": "", "reference": ["click"]}}\n')
    result = run("reward", "--profile", profile, tmp_path / "plans.jsonl")
    assert result.code == 0
    gold, empty = result.records()
    assert (gold["id"], gold["overall"], gold["format"]) == ("gold", 1.0, 1.0)
    assert (empty["id"], empty["overall"]) == (2, 0.0)
    assert gold.keys() == {"id", "overall", "format", "accuracy", "terms"}


def test_rewards_from_standard_input(run: Callable[..., Result]) -> None:
    result = run("reward", "-", stdin=GOLD + "\n")
    assert [record["overall"] for record in result.records()] == [1.0]
    assert run("reward", "-").out == ""


def test_a_garbage_line_is_named_after_those_before_it(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "plans.jsonl").write_text(f"{GOLD}\n{{garbage\n{GOLD}\n")
    result = run("reward", tmp_path / "plans.jsonl")
    one_line(result, 1, "plans.jsonl, line 2: not JSON")
    assert len(result.records()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"id": 1, "completion": ""}\n', "line 1: 'reference' is missing"),
        (b'{"id": 1, "completion": 2, "reference": []}\n', "'completion' is not a string"),
        (b"[]\n", "line 1: not a JSON object"),
        (b'{"id": "\xff"}\n', "plans.jsonl: not UTF-8 text"),
        (b"[" * 100_000, "line 1: not JSON"),
    ],
)
def test_bad_lines(run: Callable[..., Result], tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "plans.jsonl").write_bytes(content)
    one_line(run("reward", tmp_path / "plans.jsonl"), 1, said)


def test_wrong_choices(run: Callable[..., Result], tmp_path: Path) -> None:
    one_line(run("reward", "--stage", "3", "-"), 2, "stage 3 has no reward: use 1 or 2")
    one_line(run("reward", "--profile", "own", "-"), 2, "unknown profile 'own': use paper or prototype")
    one_line(run("reward", tmp_path / "none.jsonl"), 2, "none.jsonl: cannot be read: No such file")
    one_line(run("reward", tmp_path), 2, "cannot be read: Is a directory")


def test_text_in_any_script_is_written_as_it_is(run: Callable[..., Result]) -> None:
    line = json.dumps({"id": "日本", "completion": "\u2028", "reference": ["click"]}, ensure_ascii=False)
    assert run("reward", "-", stdin=line + "\n").records()[0]["id"] == "日本"


# ---- the other commands ----------------------------------------------------------------------------------------------


def test_an_unknown_bench(run: Callable[..., Result]) -> None:
    one_line(run("bench", "speed"), 2, "no bench 'speed'; there are data, env, grpo-step, plan-act, reward")


def test_an_unknown_environment(run: Callable[..., Result], tmp_path: Path) -> None:
    one_line(run("act", "atari:pong", "--model", tmp_path), 2, "no module 'atari'", "by name there are miniwob, toy")
    for name in ("miniwob", "miniwob:"):
        one_line(run("act", name, "--model", tmp_path), 2, "miniwob needs a task", "login-user")


def test_a_model_that_is_not_there(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("act", "miniwob:login-user", "--model", tmp_path, "--out", tmp_path / "out")
    one_line(result, 1, "holds no config.json")
    assert not (tmp_path / "out").exists()


def test_an_unknown_benchmark(run: Callable[..., Result], config: Path, tmp_path: Path) -> None:
    result = run("evaluate", "chess", "--model", tmp_path, "--out", tmp_path / "out", "--config", config)
    one_line(result, 2, "no environment 'chess'")


def test_windows_and_what_is_in_them(run: Callable[..., Result], toy_store: Any, tmp_path: Path) -> None:
    out = tmp_path / "train.parquet"
    result = run("data", "windows", toy_store.directory, "--out", out, "--horizon", "3", "--prompt", "brief-1")
    assert (result.code, result.out) == (0, f"192 windows in {out}, of 48 episodes in all\n")
    assert result.err.splitlines()[-1].startswith("windows: 48/48, ")
    inspected = run("data", "inspect", out)
    assert inspected.code == 0
    assert "192" in inspected.out
    page = tmp_path / "page.html"
    drawn = run("data", "inspect", toy_store.directory, "--html", page, "--samples", "1", "--seed", "4")
    assert (drawn.code, drawn.out.splitlines()[-1]) == (0, str(page))
    assert page.read_text().count('class="sample"') == 1
    absent = run("data", "inspect", toy_store.directory, "--episode", "none")
    assert absent.code == 2
    assert "holds no 'none'" in absent.err.splitlines()[-1]
    assert run("data", "inspect", out, "--samples", "-1").code == 2
    (tmp_path / "README.md").write_text("mine")
    result = run("data", "windows", toy_store.directory, "--out", out)
    assert result.err.splitlines()[-1].endswith("is not ours and stays as it is")
    one_line(run("data", "windows", tmp_path, "--out", out), 1, "no episodes.jsonl there")
    one_line(
        run("data", "windows", toy_store.directory, "--out", out, "--prompt", "x"), 2, "unknown prompt version 'x'"
    )
    assert run("data", "inspect", tmp_path / "none").code in (1, 2)


def test_windows_of_several_stores(run: Callable[..., Result], toy_store: Any, tmp_path: Path) -> None:
    episode = next(read_episodes(toy_store.directory))
    bad = replace(episode.steps[0], action=Action("swipe"))
    write_episodes(tmp_path / "own", [replace(episode, episode_id=f"own/{i}") for i in range(40)])
    EpisodeStore(tmp_path / "own").append(replace(episode, episode_id="bad", steps=(bad,)))
    words = ("data", "windows", toy_store.directory, tmp_path / "own", "--out", tmp_path / "w.parquet")
    refused = run(*words)
    assert refused.code == 1
    assert "episodes.jsonl line 41: steps[0].action: action 'swipe' is unknown" in refused.err.splitlines()[-1]
    result = run(*words, "--heldout", "0.1", "--skip-invalid")
    assert result.code == 0, result
    assert f"held-out windows in {tmp_path / 'w.heldout.parquet'}" in result.out
    assert result.err.splitlines()[-1] == "left out: 1 invalid episodes"


def test_rows_are_converted_by_a_map(run: Callable[..., Result], png: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(png())
    turns = [{"from": "human", "value": "<image>Wait"}, {"from": "gpt", "value": "Action: wait()"}]
    (tmp_path / "rows.json").write_text(json.dumps([{"id": "a", "images": ["0.png"], "conversations": turns}]))
    words = ("data", "convert", "rows", "--raw", tmp_path / "rows.json", "--out", tmp_path / "out")
    one_line(run(*words), 2, "rows needs --map FILE.yaml")
    one_line(run(*words, "--map", "none"), 2, "no map 'none'; give a YAML file, or one of gui_r1, sharegpt")
    result = run(*words, "--map", "sharegpt")
    assert result.out.startswith(f"1 episodes, 1 steps from 1 records in {tmp_path / 'out'}")


def test_a_group_of_errors_is_one_line(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks side by side raise groups; a full disk in one of them was a traceback."""

    def fail() -> None:
        inner = ExceptionGroup("tasks", [KeyError("x"), SetupError("images: the disk is full; free some space")])
        raise BaseExceptionGroup("unhandled errors in a TaskGroup", [inner])

    monkeypatch.setattr(cli, "app", fail)
    one_line(run("data"), 1, "images: the disk is full")


def test_a_path_that_is_no_text_is_printed(run: Callable[..., Result]) -> None:
    done = run("data", "inspect", "\udcff.jsonl")
    one_line(done, 1, "no such file or directory")


def test_demonstrations_of_an_unknown_task(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("data", "record", "miniwob", "--tasks", "dance", "--episodes", "1", "--out", tmp_path / "store")
    one_line(result, 2, "dance")
    assert not (tmp_path / "store").exists()


def test_tasks_are_separated_by_commas() -> None:
    assert common.tasks_of(" a, b,,c ") == ["a", "b", "c"]


def test_the_quick_demo_is_a_valid_configuration() -> None:
    config = load_config(ROOT / common.DEMO_CONFIG, values=training.QUICK)
    assert config.stage1.steps < load_config(ROOT / common.DEMO_CONFIG).stage1.steps


# ---- the boundary ----------------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_line(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/demo/metrics.jsonl")

    monkeypatch.setattr(training, "emit", full)
    one_line(run("reward", "-", stdin=GOLD + "\n"), 1, "runs/demo/metrics.jsonl: No space left on device")


def test_an_interruption_is_one_line(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "emit", interrupted)
    one_line(run("reward", "-", stdin=GOLD + "\n"), 130, "interrupted; run the same command again to resume")


def test_a_bug_is_not_hidden(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(training, "emit", broken)
    with pytest.raises(ZeroDivisionError):
        run("reward", "-", stdin=GOLD + "\n")


def test_a_missing_package_is_one_line(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'pyarrow.parquet'", name=package)

    monkeypatch.setattr(training, "emit", missing)
    package = "pyarrow.parquet"
    one_line(run("reward", "-", stdin=GOLD + "\n"), 1, "needs pyarrow; run: pip install 'tracer1[data]'")
    package = "tracer1.no_such_module"
    with pytest.raises(ModuleNotFoundError):
        run("reward", "-", stdin=GOLD + "\n")


def test_the_version(run: Callable[..., Result]) -> None:
    assert run("--version").out == f"tracer1 {version('tracer1')}\n"
    done = subprocess.run([sys.executable, "-m", "tracer1", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"tracer1 {version('tracer1')}\n")


def tracer1(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    code = "from tracer1.cli.main import main; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120, **options)


def test_a_traceback_is_shown_when_asked_for(tmp_path: Path) -> None:
    plain = tracer1("reward", str(tmp_path / "none.jsonl"))
    assert (plain.returncode, plain.stderr.count("\n"), plain.stdout) == (2, 1, "")
    debug = tracer1("--debug", "reward", str(tmp_path / "none.jsonl"))
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr
    assert "UsageError" in debug.stderr


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    path.write_text((GOLD + "\n") * 3000)
    code = f"from tracer1.cli.main import main; main()' reward {path} | head -n 1"
    done = subprocess.run(["sh", "-c", f"'{sys.executable}' -c '{code}"], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
