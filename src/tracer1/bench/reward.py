"""How many plans a second the stage 1 reward scores on one core, beside what one would write for a trainer."""

from __future__ import annotations

import itertools
import json
import os
import platform
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from tracer1.plan.text import render_plan
from tracer1.rewards.trajectory import PAPER, score_trajectory
from tracer1.types import Plan, Step

PLANS: Final = 4000
REPEATS: Final = 5
HORIZON: Final = 5
KINDS: Final = ("click", "type", "scroll", "hotkey", "finished")
Sample = tuple[str, list[str]]


def bench_reward() -> Iterator[dict[str, Any]]:
    """Plans of 1 to 5 steps against references of 1 to 5, every term kept; ``samples`` are plans a second.

    ``ratio`` is ours over a callback of a dozen lines that knows only the matched steps; ``parity`` whether both give
    a perfect plan the most and order equal-length plans without repetition alike.
    """
    samples = list(made_plans(PLANS))
    ours, plain = [], []
    for _ in range(REPEATS):
        ours.append(round(_rate(lambda text, kinds: score_trajectory(text, kinds, PAPER).overall, samples)))
        plain.append(round(_rate(callback, samples)))
    perfect = [(render_plan(_plan(kinds)), kinds) for kinds in map(list, itertools.permutations(KINDS, 3))]
    parity = all(score_trajectory(t, k).overall == callback(t, k) == 1.0 for t, k in perfect)
    yield {
        "name": "reward",
        "ratio": round(statistics.median(ours) / statistics.median(plain), 2),
        "samples": {"ours": ours, "callback": plain},
        "parity": parity,
        "machine": {"cpus": os.cpu_count(), "threads": 1, "system": platform.platform()},
    }


def callback(completion: str, reference: Sequence[str]) -> float:
    """A reward as one writes it for a trainer: regular expression, JSON, difflib; no discount, penalties or terms."""
    found = re.search(r"<think>.*</think>\s*<answer>(.*)</answer>", completion, re.DOTALL)
    if not found:
        return 0.0
    kinds = []
    for line in re.findall(r"Step \d+: (\{.*\})", found[1]):
        try:
            kinds.append(json.loads(line)["action"]["action_type"])
        except (ValueError, KeyError, TypeError):
            return 0.0
    return SequenceMatcher(None, kinds, list(reference)).ratio()


def made_plans(count: int, seed: int = 0) -> Iterator[Sample]:
    """Completions and references of every length and likeness, some of them broken."""
    rng = random.Random(seed)
    for _ in range(count):
        reference = [rng.choice(KINDS) for _ in range(rng.randint(1, HORIZON))]
        said = [kind if rng.random() < 0.7 else rng.choice(KINDS) for kind in reference][: rng.randint(1, HORIZON)]
        text = render_plan(_plan(said))
        yield (text if rng.random() < 0.95 else text[: rng.randrange(len(text))]), reference


def _plan(kinds: Sequence[str]) -> Plan:
    steps = tuple(Step("login form, user name filled in", k, f"{k} the 'Password' field of the form") for k in kinds)
    return Plan(steps, f"I fill in the form and then I log in, in {len(kinds)} steps.", 1)


def _rate(score: Callable[[str, list[str]], Any], samples: Sequence[Sample]) -> float:
    started = time.process_time()
    for completion, reference in samples:
        score(completion, reference)
    return len(samples) / (time.process_time() - started)
