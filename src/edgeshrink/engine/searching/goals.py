"""What counts in a search beside the score; of each, less is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgeshrink.devices import DeviceProfile
from edgeshrink.errors import UsageError
from edgeshrink.results import Budgets, Figures, OnDevice


@dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        gained: what a technique must gain on a device to move it: a name of its `pays`.
        there: its value of what a device said of a file, in the goal's unit; None where it said
            nothing. None for what the file itself says.
        most: what budgets allow, infinite where they say nothing.
        pick: the rule that takes the recipe that is best in it; empty for none.
    """

    gained: str
    there: Callable[[OnDevice], float | None] | None = None
    most: Callable[[Budgets], float | None] = lambda _: None
    pick: str = ""


def _time(budgets: Budgets) -> float | None:
    time = budgets.most_time
    return time.ms if time and time.statistic == "median" else None


def _milliseconds(on: OnDevice) -> float | None:
    return on.latency.median_ms if on.latency else None


def _stored(on: OnDevice) -> float | None:
    return on.estimate.stored_bytes if on.estimate else None


def _cycles(on: OnDevice) -> float | None:
    return on.estimate.cycles if on.estimate else None


GOALS: Mapping[str, Goal] = {
    "bytes": Goal("disk", None, lambda budgets: budgets.most_bytes, "smallest"),
    "ms": Goal("ms", _milliseconds, _time, "fastest"),
    "arena": Goal("ms", lambda on: on.arena_bytes, lambda budgets: budgets.most_arena),
    "flash": Goal("flash", _stored, pick="smallest"),
    "cycles": Goal("ms", _cycles, pick="fastest"),
}
MEASURED, COMPILED = ("bytes", "ms"), ("flash", "cycles")


def wanted(given: tuple[str, ...], budgets: Budgets, device: DeviceProfile) -> tuple[str, ...]:
    """Return what counts: what was said, or what is usual on the device, and what has a budget.

    What is compiled for a device has no measured time here, and its file is not what lies in flash:
    there the compiler's figures are usual.
    """
    usual = COMPILED if device.compiled else MEASURED
    asked = {"ms": budgets.max_ms, "arena": budgets.max_arena}
    return tuple(dict.fromkeys((*(given or usual), *(goal for goal in asked if asked[goal]))))


def check_told(goals: tuple[str, ...], device: DeviceProfile) -> None:
    """Refuse what the device never tells: every recipe would fail, after it was made.

    Raises:
        UsageError: a compiler's figures where nothing is compiled, or a time where it is.
    """
    never = ("ms",) if device.compiled else COMPILED
    if odd := next((goal for goal in goals if goal in never), ""):
        why = "is estimated, not measured" if device.compiled else "compiles nothing"
        usual = COMPILED if device.compiled else MEASURED
        raise UsageError(
            f"{device.name} tells no {odd}: it {why}; received goals {', '.join(goals)}",
            hint=f"--goals {','.join(usual)}, or another --device",
        )


def value_of(figures: Figures, goal: str) -> float:
    """Return the value of a goal, nan where there is none."""
    there = GOALS[goal].there
    if there is None:
        return float(figures.size_bytes)
    found = there(figures.on[0]) if figures.on else None
    return math.nan if found is None else float(found)


def most_of(budgets: Budgets, goal: str) -> float:
    """Return the most that a goal may be, infinite where nothing was said."""
    most = GOALS[goal].most(budgets)
    return math.inf if most is None else float(most)


def picked_by(rule: str, goals: tuple[str, ...]) -> str:
    """Return the goal that a rule picks by, or `score`.

    Raises:
        UsageError: none that counts is picked by it.
    """
    if rule == "best":
        return "score"
    found = next((goal for goal in goals if GOALS[goal].pick == rule), None)
    if found is None:
        named = [goal for goal, one in GOALS.items() if one.pick == rule]
        raise UsageError(
            f"--pick {rule} needs a goal that says so; received --goals {','.join(goals)}",
            hint=f"add one of {', '.join(named)} to --goals",
        )
    return found
