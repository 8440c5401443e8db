"""Your own executor: a planned step and what is seen become an action. In a configuration:

executor:
  name: own_executor:ByName
"""

from tracer1 import Action, Observation, Step
from tracer1.errors import InstructionError
from tracer1.types import Point


class ByName:
    """Clicks the element whose name the instruction contains. A real one would ask a grounding model."""

    name = "by-name"

    async def act(self, step: Step, observation: Observation) -> Action:
        """Raise InstructionError where the step cannot be followed (reward 0), ExecutorError where you failed."""
        if step.action_type != "click":
            raise InstructionError(f"this executor only clicks, not {step.action_type!r}")
        for element in observation.elements or ():
            if element.name and element.name in step.instruction:
                x0, y0, x1, y1 = element.box  # fractions of the screenshot
                return Action("click", Point((x0 + x1) / 2, (y0 + y1) / 2))
        raise InstructionError(f"nothing on the screen is named in {step.instruction!r}")
