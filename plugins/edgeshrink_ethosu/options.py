"""What a device profile says of an Ethos-U NPU: what Vela compiles for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag

Accelerator = Literal[
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
]
SECTION = re.compile(r"\w+")
ARMS_OWN = "Arm/vela.ini"


@dataclass(frozen=True)
class Options:
    """Which NPU, and which clock and memories are around it."""

    accelerator: Annotated[Accelerator, Flag("Which NPU: its family and MACs a cycle.")]
    system: Annotated[
        str, Flag("Clock and memories: the name of a [System_Config.…] of the configuration.")
    ]
    memory: Annotated[
        str, Flag("What lies in which memory: the name of a [Memory_Mode.…] of the configuration.")
    ]
    config: Annotated[
        str, Flag("Vela's configuration file: Arm/vela.ini, its own, or the path of another.")
    ] = ARMS_OWN

    def __post_init__(self) -> None:
        """Refuse a name that no section can have, and the memories of another family.

        Vela itself compiles for one family with the clock and memories of another.
        """
        for key in ("system", "memory"):
            value = getattr(self, key)
            if not SECTION.fullmatch(value):
                raise ValueError(f"{key} must be of letters, digits and _; received {value!r}")
        family = f"Ethos_{self.accelerator.split('-')[1].upper()}_"
        if self.config == ARMS_OWN and not self.system.startswith(family):
            raise ValueError(
                f"system of {self.accelerator} must begin with {family} in {ARMS_OWN}; "
                f"received {self.system!r}"
            )
