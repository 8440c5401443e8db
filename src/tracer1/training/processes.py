"""The processes of one training job, as torchrun starts them: their numbers, and work that the first does for all."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
PATIENCE = timedelta(hours=12)  # the first may measure a whole gate while the others wait


def process_count() -> int:
    """How many processes the job has."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_index() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first_process() -> bool:
    """Whether this process writes the files of the run."""
    return process_index() == 0


def first_does(work: Callable[[], T]) -> T:
    """Let the first process do the work while the others wait; every process returns its result.

    An error is raised in the first process alone; the others end with exit code 1, so that it is reported once.
    """
    if process_count() == 1:
        return work()
    import torch.distributed

    _join()
    if not is_first_process():
        received: list[T | None] = [None]
        failed = [False]
        torch.distributed.broadcast_object_list(failed, src=0)
        if failed[0]:
            torch.distributed.destroy_process_group()  # a peer that is gone would abort this process as it ends
            raise SystemExit(1)
        torch.distributed.broadcast_object_list(received, src=0)
        return received[0]  # type: ignore[return-value]
    try:
        result = work()
    except Exception:  # whatever it is, the others must not wait for ever
        torch.distributed.broadcast_object_list([True], src=0)
        torch.distributed.destroy_process_group()
        raise
    torch.distributed.broadcast_object_list([False], src=0)
    torch.distributed.broadcast_object_list([result], src=0)
    return result


def _join() -> None:
    """Connect the processes, by gloo on CPUs and NCCL on GPUs."""
    import torch
    from accelerate import PartialState

    if not torch.distributed.is_initialized():
        PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
