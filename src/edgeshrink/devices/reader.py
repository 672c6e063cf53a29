"""A program that reads .tflite files, and what it refuses of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgeshrink.tflite import Refusal, Use, refused


@dataclass(frozen=True)
class Reader:
    """A program that reads .tflite files: a runtime, or a chip's compiler.

    Attributes:
        name: as profiles have it, in `reader` or else in `runtime`.
        title: its name and the version that the rows were tried with.
        refuses: rows of what it refuses.
        leaves: rows of what it takes and leaves to a processor beside it; a file of which it leaves
            everything is refused.
        untried: rows of what nobody has given it yet.
    """

    name: str
    title: str
    refuses: tuple[Refusal, ...] = ()
    leaves: tuple[Refusal, ...] = ()
    untried: tuple[Refusal, ...] = ()

    def problems(self, uses: Iterable[Use]) -> list[str]:
        """Return why the program refuses a file, as phrases; none where it reads it.

        Args:
            uses: how the file uses its operators.
        """
        uses = list(uses)
        found = refused(uses, self.refuses)
        if not found and uses and all(any(r.matches(u) for r in self.leaves) for u in uses):
            found = [f"a file that it leaves whole: {'; '.join(refused(uses, self.leaves))}"]
        return found

    def doubts(self, uses: Iterable[Use]) -> list[str]:
        """Return what of a file nobody has given the program yet, as phrases.

        Args:
            uses: how the file uses its operators.
        """
        return refused(uses, self.untried)
