"""What arithmetic tells of recipes before any work: files that cannot be as small as is asked."""

from __future__ import annotations

from edgeshrink.devices import DeviceProfile
from edgeshrink.errors import UsageError
from edgeshrink.models import Kind, ModelFacts
from edgeshrink.recipes import Plan, Precision, Recipe, Space


def too_large(recipe: Recipe, found: ModelFacts, device: DeviceProfile, most: int | None) -> str:
    """Return why the file of a recipe is larger than it may be, or nothing where it may fit.

    A .tflite holds every weight, zero or not, at its precision. What is left where channels go, and
    what a packed file takes, is known only once it is there.

    Args:
        recipe: what is done.
        found: facts of the model.
        device: that it is for.
        most: bytes; None for no limit.
    """
    if most is None or any(step.produces is Kind.PACKED for step in recipe.steps):
        return ""
    for place, step in enumerate(recipe.steps):
        if isinstance(step, Precision):
            before, after = recipe.steps[:place], recipe.steps[place + 1 :]
            least = step.least_bytes(Plan(found, before, after, None, device))
            if least > most:
                return (
                    f"the weights alone take at least {least:,} bytes at {step.bits} bits, "
                    f"where at most {most:,} are allowed"
                )
    return ""


def check_possible(
    space: Space, found: ModelFacts, device: DeviceProfile, most: int | None
) -> None:
    """Refuse a search in which arithmetic refuses every recipe.

    Raises:
        UsageError: it does.
    """
    said = ""
    for point in space.points():
        said = too_large(space.recipe(point), found, device, most)
        if not said:
            return
    raise UsageError(
        f"no recipe of the space can be as small: {said}",
        hint="allow more bytes, or let the space take channels away (shrink, lowrank) or pack "
        "(-o model.esz)",
    )
