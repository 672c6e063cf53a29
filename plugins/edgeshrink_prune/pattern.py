"""Which weights of a kernel go together: declared as text, `free`, `2:4` or `4x1`."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Of the share of zeros beside the pattern's own: 0.33 is written for 2:3.
NEAR = 0.005


@dataclass(frozen=True)
class Block:
    """Weights of so many inputs and outputs, zero together; one by one they are free.

    At the far edges of a kernel blocks are cut off.
    """

    inputs: int = 1
    outputs: int = 1


@dataclass(frozen=True)
class Groups:
    """Of each group of weights that follow each other along the inputs, so many are kept.

    The last group of an axis that they do not divide counts as filled up with zeros.
    """

    kept: int
    size: int

    @property
    def sparsity(self) -> float:
        """The share of zeros, where the groups divide the inputs."""
        return 1 - self.kept / self.size


Pattern = Block | Groups
FREE = Block()
# What some accelerators skip (Ethos-U85; Nvidia since Ampere).
SKIPPED = "2:4"


def parse(text: str) -> Pattern:
    """Return the pattern that a text names.

    Raises:
        ValueError: it names none.

    Example:
        >>> parse("2:4"), parse("4x1")
        (Groups(kept=2, size=4), Block(inputs=4, outputs=1))
    """
    if text == "free":
        return FREE
    if (found := re.fullmatch(r"(\d+):(\d+)", text)) and 0 < int(found[1]) < int(found[2]):
        return Groups(int(found[1]), int(found[2]))
    if (found := re.fullmatch(r"(\d+)x(\d+)", text)) and min(int(found[1]), int(found[2])) > 0:
        return Block(int(found[1]), int(found[2]))
    raise ValueError(
        "pattern must be `free`, weights kept of each so many (2:4), or a block of inputs x "
        f"outputs (4x1); received {text!r}"
    )


def check_sparsity(pattern: Pattern, sparsity: float) -> None:
    """Refuse another share of zeros than that of the pattern.

    Raises:
        ValueError: they differ; the message says which share to ask for.
    """
    if isinstance(pattern, Groups) and abs(sparsity - pattern.sparsity) > NEAR:
        raise ValueError(
            f"{pattern.kept} weights kept of each {pattern.size} are a sparsity of "
            f"{pattern.sparsity:.4g}; received {sparsity:g}: ask for {pattern.sparsity:.4g}, or "
            "for another pattern"
        )
