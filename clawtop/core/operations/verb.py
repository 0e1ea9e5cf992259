"""The command line that makes the same plan: for a clawtop on another host, or for an operator to type."""

from __future__ import annotations

from clawtop.core.model import SHARED
from clawtop.core.operations.edit import ClearWindows, SetOrder
from clawtop.core.operations.plan import Plan, PlanKind


def verb_words(plan: Plan) -> tuple[str, ...]:
    """The verb and its arguments, exact ids, without `clawtop`."""
    agent = ("--agent", plan.agent) if plan.agent not in (None, SHARED) else ()
    edit = plan.steps[0].edit if plan.steps else None
    match plan.kind:
        case PlanKind.CLEAR if isinstance(edit, ClearWindows) and plan.target in edit.profiles:
            model = ("--model", edit.model) if edit.model is not None else ()
            return ("clear", plan.target, *model, *agent)
        case PlanKind.CLEAR:
            return ("clear", "--provider", plan.target, *agent)
        case PlanKind.ROTATE:
            return ("rotate", plan.target, *agent)
        case PlanKind.RESET_ORDER:
            return ("rotate", plan.target, "--reset", *agent)
        case PlanKind.ORDER:
            return ("order", plan.target, *(edit.order or () if isinstance(edit, SetOrder) else ()), *agent)
        case PlanKind.UNLOCK:
            return ("unlock", plan.target)
        case PlanKind.UNDO:
            return ("undo", plan.undoes or plan.target)
