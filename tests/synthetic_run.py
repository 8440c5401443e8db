"""A made-up run directory with the shape and the sizes of a real one: every file, plausible figures, drawn screens."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from tracer1.data.windows_file import write_windows
from tracer1.plan.text import render_plan
from tracer1.types import Plan, Reference, Step, Window

TASKS = (
    "enter-text",
    "enter-password",
    "login-user",
    "login-user-popup",
    "form-sequence-2",
    "search-engine",
    "click-button-sequence",
    "click-checkboxes",
    "multi-orderings",
    "email-inbox-reply",
    "email-inbox-forward",
    "choose-date-easy",
)
SUCCESS = {"base": 0.34, "stage1": 0.47, "stage2": 0.72}
SEEDS = 20
GOAL = 'Enter the username "ada" and the password "x7Q" into the text fields and press login.'

Json = dict[str, Any]


def write_run(directory: Path, *, seed: int = 0) -> Path:
    """Write a whole run under ``directory`` and return it; the same seed writes the same bytes."""
    rng = random.Random(seed)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(
        "output_dir: runs/demo\nseed: 0\nplan:\n  horizon: 5\n  history: 5\n", "utf-8"
    )
    write_json(
        directory / "env.json",
        {
            "python": "3.11.2",
            "torch": "2.13.0+cpu",
            "trl": "1.16.0",
            "transformers": "5.23.0",
            "git_commit": "0d6cbc3",
            "cpu": "AMD EPYC 7B13",
            "cores": 2,
            "memory_gb": 7.8,
        },
    )
    write_json(directory / "results.json", results(rng))
    write_lines(directory / "metrics.jsonl", metrics(rng))
    write_lines(directory / "rollouts.jsonl", rollouts(rng))
    (directory / "data").mkdir(exist_ok=True)
    write_windows(directory / "data" / "train.parquet", windows(), directory / "data")
    for stage, share in SUCCESS.items():
        write_lines(directory / "live" / f"{stage}.jsonl", live(directory, random.Random(f"{seed}/{stage}"), share))
    return directory


def write_json(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_lines(path: Path, rows: Iterable[Json]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


# ---- results ---------------------------------------------------------------------------------------------------------


def interval(p: float, n: int) -> list[float]:
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    return [round(max(0.0, p - half), 4), round(min(1.0, p + half), 4)]


def results(rng: random.Random) -> Json:
    episodes = SEEDS * len(TASKS)
    hard = {task: i / (len(TASKS) - 1) for i, task in enumerate(TASKS)}
    stages = []
    for k, (name, share) in enumerate(SUCCESS.items()):
        per_task = {}
        for task in TASKS:
            p = min(1.0, max(0.0, share + 0.75 * (0.5 - hard[task]) + rng.uniform(-0.08, 0.08)))
            won = round(SEEDS * p)
            cut_off = rng.randint(0, SEEDS - won)
            per_task[task] = {
                "success": won / SEEDS,
                "episodes": SEEDS,
                "endings": {"finished": won, "truncated": cut_off, "failed": SEEDS - won - cut_off},
            }
        live_success = sum(t["success"] for t in per_task.values()) / len(TASKS)
        hits = [round((0.66 + 0.09 * k) * (0.86 + 0.05 * k) ** d, 4) for d in range(5)]
        first, reward = (0.655, 0.672, 0.781)[k], (0.803, 0.914, 0.908)[k]
        stages.append(
            {
                "name": name,
                "live_success": round(live_success, 4),
                "interval": interval(live_success, episodes),
                "episodes": episodes,
                "first_step_accuracy": first,
                "first_step_interval": interval(first, 360),
                "first_step_count": 360,
                "plan_reward": reward,
                "plan_reward_interval": [reward - 0.016, reward + 0.016],
                "windows": 360,
                "hit_rate_by_depth": hits,
                "hit_rate_intervals": [interval(h, 360 - 50 * d) for d, h in enumerate(hits)],
                "copied_arguments": {
                    "value": 0.93 + 0.01 * k,
                    "interval": interval(0.93 + 0.01 * k, 214),
                    "count": 214,
                },
                "per_task": per_task,
            }
        )
    gain = stages[2]["live_success"] - stages[0]["live_success"]
    return {
        "tasks": list(TASKS),
        "seeds_per_task": SEEDS,
        "protocol": {
            "live": "greedy plans, the first step executed, at most 12 steps",
            "seeds": "5000 to 5019, never trained on",
            "executor": "dom",
            "interval": "Wilson for shares, normal for means, paired for differences; 95 %",
        },
        "stages": stages,
        "gains": {
            "live_stage1_minus_base": {"value": 0.129, "interval": [0.061, 0.197], "count": episodes},
            "live_stage2_minus_base": {"value": gain, "interval": [gain - 0.07, gain + 0.07], "count": episodes},
            "plan_reward_stage1_minus_base": {"value": 0.111, "interval": [0.092, 0.130], "count": 360},
            "first_step_stage2_minus_stage1": {"value": 0.109, "interval": [0.071, 0.147], "count": 360},
        },
        "reactive": {
            "live_success": 0.583,
            "interval": interval(0.583, episodes),
            "episodes": episodes,
            "first_step_accuracy": 0.744,
            "first_step_interval": interval(0.744, 360),
            "first_step_count": 360,
        },
        "blank_images": {
            "tasks": ["login-user-popup", "click-checkboxes", "multi-orderings"],
            "live_success": 0.25,
            "interval": interval(0.25, 60),
            "episodes": 60,
            "with_images": 0.583,
            "difference": {"value": -0.333, "interval": [-0.464, -0.202], "count": 60},
        },
        "baselines": {
            "random_plan": {"live_success": 0.0125, "interval": [0.002, 0.036], "episodes": episodes},
            "always_finished": {"live_success": 0.0, "interval": [0.0, 0.016], "episodes": episodes},
        },
        "executors": {
            "dom": {"hit_rate": 0.998, "interval": [0.991, 1.0], "count": 1240},
            "ocr": {"hit_rate": 0.914, "interval": [0.896, 0.929], "count": 1106},
        },
        "minutes": {
            "record": 1.1,
            "base evaluation": 1.4,
            "stage1": 3.2,
            "stage1 evaluation": 1.3,
            "stage2": 6.1,
            "stage2 evaluation": 1.3,
            "controls": 1.9,
        },
    }


# ---- training --------------------------------------------------------------------------------------------------------

STEPS = {"stage1": 40, "stage2": 80}


def metrics(rng: random.Random) -> Iterable[Json]:
    for stage, steps in STEPS.items():
        for step in range(1, steps + 1):
            rise = 1 - math.exp(-3 * step / steps)
            low, high = (0.71, 0.88) if stage == "stage1" else (0.57, 0.76)
            accuracy = low + (high - low) * rise + rng.gauss(0, 0.025)
            form = min(1.0, 0.93 + 0.07 * rise + rng.gauss(0, 0.006))
            terms = {"format": form, "accuracy": accuracy}
            if stage == "stage1":
                terms |= {
                    "alignment": 2.1 + 0.4 * rise + rng.gauss(0, 0.06),
                    "coverage": 1.4 - 0.8 * rise + rng.gauss(0, 0.08),
                    "completion": 0.0,
                    "repetition": max(0.0, 0.1 - 0.09 * rise + rng.gauss(0, 0.01)),
                    "overlong": 0.0,
                }
            else:
                terms |= {"coordinate": accuracy, "no_plan": 0.0, "no_target": 0.21 - 0.12 * rise + rng.gauss(0, 0.02)}
            yield {
                "stage": stage,
                "step": step,
                "reward": 0.9 * accuracy + 0.1 * form,
                "reward_std": 0.2,
                "terms": terms,
                "unscored": 0,
                "zero_variance_groups": max(0.0, 0.1 + 0.25 * rise + rng.gauss(0, 0.05)),
                "zero_variance_first": 4,
                "resampled_groups": rng.randint(1, 4),
                "kl": 0.012 * rise + abs(rng.gauss(0, 0.001)),
                "entropy": 0.42 - 0.16 * rise + rng.gauss(0, 0.015),
                "clip_share": abs(rng.gauss(0.004, 0.002)),
                "grad_norm": 0.8 + rng.random() * 0.5,
                "learning_rate": 3e-5 if stage == "stage1" else 5e-5,
                "completion_tokens": 58 + rng.gauss(0, 2),
                "truncated_share": 0.0,
                "seconds": {"generate": 1.4, "rollout": 1.9 + rng.random() * 0.2, "step": 3.4 + rng.random() * 0.3},
                "rss_mb": 1480 + step,
            }


def plan_steps(count: int, name: str = "ada") -> list[Step]:
    steps = [
        Step("login form, empty", "click", "click the 'Username' field"),
        Step("login form, user name has the focus", "type", f"type '{name}' in the 'Username' field"),
        Step("login form, user name filled in", "click", "click the 'Password' field"),
        Step("login form, password has the focus", "type", "type 'x7Q' in the 'Password' field"),
        Step("login form, filled in", "click", "click the 'Login' button", "done"),
    ]
    return steps[5 - count :]


def prompt(step: int, group: int) -> str:
    return f"miniwob/{TASKS[(step + group) % len(TASKS)]}/{step}#0"


def windows() -> Iterable[Window]:
    for step in range(max(STEPS.values())):
        for group in range(2):
            episode_id, _, at = prompt(step, group).rpartition("#")
            yield Window((), (), Reference(tuple(plan_steps(5))), episode_id, int(at), "miniwob")


def rollouts(rng: random.Random) -> Iterable[Json]:
    for stage, steps in STEPS.items():
        for step in range(1, steps + 1):
            for sample in range(10):
                group = sample // 5
                accuracy = rng.choice([0.0, 0.2, 0.55, 0.8, 1.0, 1.0])
                completion = render_plan(Plan(tuple(plan_steps(rng.randint(1, 5))), "5 steps", 1))
                yield {
                    "stage": stage,
                    "step": step,
                    "prompt": prompt(step, group),
                    "completion": completion,
                    "overall": round(0.1 + 0.9 * accuracy, 3),
                    "format": 1.0,
                    "accuracy": accuracy,
                    "terms": {
                        "format": 1.0,
                        "accuracy": accuracy,
                        "alignment": 3 * accuracy,
                        "coverage": 1.0,
                        "repetition": 0.0,
                    },
                    "unscored": None,
                    "advantage": round(rng.gauss(0, 1), 3),
                }


# ---- live episodes ---------------------------------------------------------------------------------------------------

CLICKS = {"Username": (0.42, 0.37), "Password": (0.42, 0.54), "Login": (0.2, 0.67)}


def live(directory: Path, rng: random.Random, share: float) -> Iterable[Json]:
    screens = [keep(directory, screen(k)) for k in range(5)]
    for task in TASKS:
        for seed in range(5000, 5002):
            won = rng.random() < share or (share > 0.7 and task == "login-user" and seed == 5000)
            if share < 0.4 and task == "login-user":
                won = False
            yield episode(task, seed, screens, won)


def episode(task: str, seed: int, screens: Sequence[str], won: bool) -> Json:
    last = 5 if won else 3
    turns = []
    for k in range(last):
        steps = plan_steps(5 - k, "ada" if won or k else "adda")
        name = ("Username", None, "Password", None, "Login")[k]
        lost = not won and k == last - 1
        if lost:
            steps[0] = Step("login form, user name filled in", "click", "click the 'Passwrd' field")
        action: Json | None = {"action_type": "click", "point": list(CLICKS[name])} if name else None
        if name is None:
            action = {"action_type": "type", "content": ("ada", "x7Q")[k // 2]}
        turns.append(
            {
                "screenshot": screens[k],
                "completion": render_plan(Plan(tuple(steps), f"{5 - k} steps", k + 1)),
                "steps": [
                    {
                        "abstraction": s.abstraction,
                        "action_type": s.action_type,
                        "instruction": s.instruction,
                        "status": s.status,
                    }
                    for s in steps
                ],
                "action": None if lost else action,
                "error": "no field named 'Passwrd' on this page" if lost else None,
            }
        )
    return {
        "task": task,
        "seed": seed,
        "goal": GOAL,
        "reward": 1.0 if won else 0.0,
        "success": won,
        "ending": "finished" if won else "failed",
        "where": "" if won else f"step {last}: no field named 'Passwrd' on this page",
        "seconds": 1.7,
        "turns": turns,
    }


def screen(filled: int) -> bytes:
    """A login page of 160x210 pixels with its first ``filled`` actions done."""
    image = Image.new("RGB", (160, 210), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 160, 50), fill="#ffff00")
    draw.multiline_text((4, 4), 'Enter the username "ada"\nand the password "x7Q",\nthen press login.', fill="black")
    for top, label, text, focus in (
        (60, "Username", "ada" if filled > 1 else "", 1),
        (95, "Password", "***" if filled > 3 else "", 3),
    ):
        draw.text((6, top), label, fill="black")
        draw.rectangle((6, top + 13, 128, top + 28), outline="#2266cc" if filled == focus else "#999999")
        draw.text((10, top + 15), text, fill="black")
    draw.rectangle((6, 132, 58, 150), fill="#eeeeee", outline="#888888")
    draw.text((16, 135), "Login", fill="black")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def keep(directory: Path, png: bytes) -> str:
    import hashlib

    name = f"live/images/{hashlib.sha256(png).hexdigest()}.png"
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(png)
    return name
