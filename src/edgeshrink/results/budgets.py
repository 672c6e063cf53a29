"""Budgets: what a result may lose, weigh, take and need, as it is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from edgeshrink.errors import UsageError
from edgeshrink.flag import Flag
from edgeshrink.results.verdict import Drop

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30}
NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,9})?)"
SIZE = re.compile(rf"{NUMBER} ?([kmg]?i?b|)", re.IGNORECASE)
TIME = re.compile(rf"(?:(median|p90) ?<=? ?)?{NUMBER}(?: ?ms)?")


@dataclass(frozen=True)
class MostTime:
    """How long one inference may take.

    Attributes:
        statistic: `median` or `p90`, the 90th percentile of the counted runs.
        ms: at most so many milliseconds, above 0.
    """

    statistic: str
    ms: float

    @classmethod
    def parse(cls, given: str) -> MostTime:
        """Return what a text says: a number of milliseconds for the median, or `p90<25`.

        Raises:
            UsageError: it says none, or nothing above 0.
        """
        found = TIME.fullmatch(given.strip())
        ms = float(found[2]) if found else 0.0
        if not found or not ms:
            raise UsageError(
                f"--max-ms must be milliseconds above 0, of median or p90; received {given!r}",
                hint="as in --max-ms 5 for the median, or --max-ms 'p90<25'",
            )
        return cls(found[1] or "median", ms)


def bytes_of(given: str, flag: str) -> int:
    """Return a size in bytes.

    Args:
        given: a number, with a unit or without: kB, MB, GB are thousands, KiB, MiB, GiB 1,024s.
        flag: what it was given to, for the message.

    Raises:
        UsageError: it is no size, or less than a byte.

    Example:
        >>> bytes_of("100kB", "--max-bytes"), bytes_of("64 KiB", ""), bytes_of("120000", "")
        (100000, 65536, 120000)
    """
    found = SIZE.fullmatch(given.strip())
    unit = UNITS.get(found[2].lower()) if found else None  # `ib` alone is none
    count = int(Decimal(found[1]) * unit) if found and unit else 0
    if not count:
        raise UsageError(
            f"{flag} must be a size of at least a byte; received {given!r}",
            hint=f"as in {flag} 100kB, {flag} 64KiB or {flag} 120000",
        )
    return count


@dataclass(frozen=True)
class Budgets:
    """Budgets; where one is not kept, the command ends in exit code 4.

    Raises:
        UsageError: a value cannot be read.
    """

    max_drop: Annotated[
        str,
        Flag(
            "What the result may lose beside what it is compared with: points of accuracy, as in 1 "
            "or 1%; a number, or a percentage of what it was, where the score is no share; none "
            "for anything. Without it compress allows 10 points, or half of the way to guessing, "
            "if less.",
            metavar="POINTS",
        ),
    ] = ""
    max_bytes: Annotated[
        str, Flag("How large the file may be, as in 100kB, 64KiB or 120000.", metavar="SIZE")
    ] = ""
    max_ms: Annotated[
        str,
        Flag(
            "How long one inference may take on each device that timed it: at most so many "
            "milliseconds of the median, or of the 90th percentile, as in 'p90<25'.",
            metavar="MS",
        ),
    ] = ""
    max_arena: Annotated[
        str,
        Flag(
            "How much memory the tensors may need, on a device whose runtime has one arena: a "
            "microcontroller.",
            metavar="SIZE",
        ),
    ] = ""
    larger: Annotated[
        bool, Flag("Whether the file may be larger than what it is compared with.")
    ] = True
    slower: Annotated[
        bool,
        Flag(
            "Whether the result may be slower than what it is compared with, on the same device, "
            "by more than 5 % and more than noise."
        ),
    ] = True

    def __post_init__(self) -> None:
        """Read every value, so that a wrong one is told before any work."""
        _ = self.drop, self.most_bytes, self.most_time, self.most_arena

    @property
    def drop(self) -> Drop | None:
        """What may be lost; None where nothing was said."""
        return Drop.parse(self.max_drop)

    @property
    def most_bytes(self) -> int | None:
        """The most bytes of the file; None where nothing was said."""
        return bytes_of(self.max_bytes, "--max-bytes") if self.max_bytes else None

    @property
    def most_time(self) -> MostTime | None:
        """How long an inference may take; None where nothing was said."""
        return MostTime.parse(self.max_ms) if self.max_ms else None

    @property
    def most_arena(self) -> int | None:
        """The most bytes of the arena; None where nothing was said."""
        return bytes_of(self.max_arena, "--max-arena") if self.max_arena else None

    @property
    def compares(self) -> tuple[str, ...]:
        """The flags that were given of those that compare the result with another."""
        drop = [f"--max-drop {self.max_drop}"] if self.drop and self.drop.limited else []
        given = {"--no-larger": not self.larger, "--no-slower": not self.slower}
        return (*drop, *(flag for flag, is_given in given.items() if is_given))

    @property
    def measures(self) -> tuple[str, ...]:
        """The flags that were given of those that a device must answer."""
        told = {"--max-ms": self.max_ms, "--max-arena": self.max_arena}
        found = [f"{flag} {value}" for flag, value in told.items() if value]
        return (*found, *(flag for flag in self.compares if flag == "--no-slower"))

    @property
    def any(self) -> bool:
        """Whether there is a rule at all."""
        return bool(self.compares or self.measures or self.max_bytes)
