"""How files are read: the options of `--data`, declared once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from edgeshrink.errors import UsageError
from edgeshrink.flag import Flag

Resize = Annotated[
    Literal["keras", "antialias"],
    Flag(
        "How a folder's images are read: keras as image_dataset_from_directory does, antialias "
        "smoothed before they are made smaller, and turned upright."
    ),
]
IMAGES, SOUND, TABLE = "a folder of images", "a folder of .wav files", "a .csv or .parquet file"


@dataclass(frozen=True)
class Reading:
    """Files of data."""

    resize: Resize = "keras"
    clip_seconds: Annotated[
        float | None,
        Flag(
            "Sound is cut, or padded with silence at its end, to this long; without it all files "
            "must be of one length.",
            above=0.0,
            max=3600.0,
        ),
    ] = None
    window: Annotated[
        int | None, Flag("A table is a time series: a sample is this many rows.", min=1)
    ] = None
    window_step: Annotated[
        int | None,
        Flag(
            "Rows from the start of a window to that of the next; default: a whole window.", min=1
        ),
    ] = None
    window_label: Annotated[
        Literal["most", "last"],
        Flag("The label of a window: the most frequent of its rows, or that of its last row."),
    ] = "most"
    label_column: Annotated[
        str, Flag("The column of labels; default: label or y, else the last.", metavar="NAME")
    ] = ""
    group_column: Annotated[
        str,
        Flag(
            "A column that says what belongs together, such as a person: no group is both in "
            "training and in the test, and no window goes over the end of one.",
            metavar="NAME",
        ),
    ] = ""
    ignore_columns: Annotated[
        tuple[str, ...],
        Flag("Columns that are no input, such as a time stamp.", metavar="NAMES"),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse options of windows where there are none.

        Raises:
            ValueError: one is given without a length.
        """
        given = self.given()
        alone = next((name for name in ("window_step", "window_label") if name in given), None)
        if alone and self.window is None:
            raise ValueError(f"{alone} is for windows of rows; give window, their length, too")

    def given(self) -> dict[str, str]:
        """Return the options that differ from their defaults, and what each is for."""
        of = {"resize": IMAGES, "clip_seconds": SOUND}
        return {
            one.name: of.get(one.name, TABLE)
            for one in fields(Reading)
            if getattr(self, one.name) != one.default
        }

    def check(self, spec: str, kind: str) -> None:
        """Refuse options that would have no effect on what was read.

        Args:
            spec: what the user named.
            kind: what it is, of those that options are for; empty for anything else.

        Raises:
            UsageError: there is one.
        """
        for name, of in self.given().items():
            if of != kind:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} is for {of}; {spec} is none", hint=f"drop {flag}")
