"""What a step was asked for, beside what it did: the one place that says what was missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeshrink.recipes.context import Context

TOLERANCE = 0.02  # of a share: what misses it by no more has met it
EXACT = 1e-9  # of sums of floats


@dataclass(frozen=True)
class Asked:
    """A share, or a number of things, that a step was asked for.

    More than was asked for is missed as less is: it costs accuracy that nobody offered.

    Attributes:
        step: the method's name.
        wanted: a share, 0..1, as a float; a number as an int.
        of: what it is a share or a number of.
        done: the same of what came of it; of shares measured in the result.
        verb: what was done, as in "removed".
        finest: of a share, the smallest step in which it could be met: what is missed by no more
            has met it.
        bound: the number is the most that was asked for, so that fewer meet it.
        why: what stood in the way; asked for only where it was missed.
    """

    step: str
    wanted: float
    of: str
    done: float
    verb: str = "removed"
    finest: float = 0.0
    bound: bool = False
    why: str = ""

    @property
    def missed(self) -> str:
        """What was missed, as a sentence; empty where it was met."""
        apart = self.done - self.wanted
        if isinstance(self.wanted, int):
            if not apart or (self.bound and apart < 0):
                return ""
            said = f"{self.step}: asked for {self.wanted} {self.of}, {self.done:.0f} {self.verb}"
        else:
            if abs(apart) <= max(TOLERANCE, self.finest) + EXACT:
                return ""
            more = "more" if apart > 0 else "less"
            said = (
                f"{self.step}: asked for {self.wanted:.1%} of {self.of}, {self.done:.1%} "
                f"{self.verb}, {100 * abs(apart):.1f} points {more}"
            )
        return f"{said}; {self.why}" if self.why else said

    def tell(self, context: Context) -> None:
        """Write the fact `asked`, by what it was asked of, and `unmet` where it was missed."""
        told = {"asked": self.wanted, "done": self.done, "finest": self.finest}
        context.facts["asked"] = {**context.facts.get("asked", {}), self.of: told}
        if self.missed:
            said = [context.facts["unmet"]] if "unmet" in context.facts else []
            context.facts["unmet"] = "; ".join([*said, self.missed])
