"""What metadata is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edgeshrink.api import Flag


@dataclass(frozen=True)
class Options:
    """Names of classes, and how pixels become what the model takes."""

    labels: Annotated[
        str,
        Flag(
            "Text file with the name of each class, one a line, in the order of the model's "
            "outputs (default: the names that the data has).",
            metavar="FILE",
        ),
    ] = ""
    mean: Annotated[
        tuple[float, ...],
        Flag(
            "What is taken from pixels of 0 to 255: one number, or one a channel (default: by "
            "--preprocess, or 0 where the model scales pixels itself)."
        ),
    ] = ()
    std: Annotated[
        tuple[float, ...],
        Flag("What the rest is divided by, likewise (default: likewise, or 1).", above=0),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse one of mean and std without the other.

        Raises:
            ValueError: only one is given, or they differ in number.
        """
        if bool(self.mean) != bool(self.std):
            raise ValueError(
                "mean and std go together, as in --metadata-mean 127.5 --metadata-std 127.5; "
                f"received {'mean' if self.mean else 'std'} alone"
            )
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean and std must be as many numbers; received {len(self.mean)} and "
                f"{len(self.std)}"
            )
