"""One exception per boundary, so that each failure names its cause.

Every message is one line: what is wrong, where, and what to change. The command line prints it and exits with 1 or 2.
"""

from __future__ import annotations


class TraceR1Error(Exception):
    """Base of every error that this library foresees."""


class UsageError(TraceR1Error):
    """A wrong option, an unknown task or an invalid setting (exit 2)."""


class DataError(TraceR1Error):
    """A record, an image or a file on disk is invalid; the message names file, row and field."""


class FrameError(TraceR1Error):
    """Two coordinates of different frames were mixed."""


class ActionError(TraceR1Error):
    """An action is unknown on its platform or lacks an argument."""


class PlanError(TraceR1Error):
    """A completion holds no readable plan; the message names the first problem."""


class InstructionError(TraceR1Error):
    """An executor cannot do or find what a step instruction names: the planner's fault, scored as a miss."""


class ExecutorError(TraceR1Error):
    """An executor timed out or crashed. That teaches a planner nothing, so the sample is unscored."""


class ModelError(TraceR1Error):
    """A planner's engine or server returned no completion; the episode or sample fails with this message."""


class EnvironmentFailure(TraceR1Error):
    """The environment (browser, page, server) failed: an infrastructure failure, not a wrong answer."""


class TrainingError(TraceR1Error):
    """A run stopped because it would teach nothing: the model ignores its images, or stage 1 did not pass the gate."""


class SetupError(TraceR1Error):
    """Something is missing on the machine (a browser, a package, disk space); the message says how to get it."""
