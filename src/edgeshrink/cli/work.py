"""Who does the work of a command that makes many recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edgeshrink.flag import Flag


@dataclass(frozen=True)
class Work:
    """Work."""

    jobs: Annotated[
        int | None,
        Flag(
            "Recipes made side by side; each gets its share of the cores (default: 1, and with "
            "--scheduler what its workers take).",
            min=1,
        ),
    ] = None
    scheduler: Annotated[
        str,
        Flag(
            "A Dask cluster that makes the recipes, as in tcp://HOST:8786; all its machines see "
            "model, data and run folder by the same paths.",
            metavar="ADDRESS",
        ),
    ] = ""
