"""One exception per boundary, so that a failure says whose it is.

Every message is one line: what is wrong, where, and what to change. The command line prints it and exits with 1 or 2.
"""

from __future__ import annotations


class TraceR1Error(Exception):
    """Base of everything this library raises on purpose."""


class UsageError(TraceR1Error):
    """The caller asked for what cannot be: a wrong option, an unknown task, a broken config key (exit 2)."""


class DataError(TraceR1Error):
    """A record, an image or a file on disk is not as it should be; the message names file, row and field."""


class FrameError(TraceR1Error):
    """Two coordinates of different frames were mixed."""


class ActionError(TraceR1Error):
    """An action is unknown on its platform or lacks an argument."""


class PlanError(TraceR1Error):
    """A completion holds no plan that can be read; the message says what is wrong with it first."""


class InstructionError(TraceR1Error):
    """A step instruction names nothing that an executor could do or find: the planner's fault, scored as a miss."""


class ExecutorError(TraceR1Error):
    """An executor timed out or crashed: nobody's fault that a planner could learn from, so the sample is unscored."""


class ModelError(TraceR1Error):
    """A planner's engine or server gave no completion: the episode or sample fails, by name."""


class EnvironmentFailure(TraceR1Error):
    """The environment (browser, page, server) failed: failed infrastructure, not a wrong answer."""


class TrainingError(TraceR1Error):
    """A run was stopped because it would teach nothing: the model does not see, or a stage did not pass its gate."""


class SetupError(TraceR1Error):
    """Something the machine needs is missing (a browser, a package, disk space); the message says how to get it."""
