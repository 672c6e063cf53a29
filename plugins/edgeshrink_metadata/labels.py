"""The names of classes: from a file, or from the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.api import DataError, UsageError, read_text

if TYPE_CHECKING:
    from edgeshrink.api import Dataset
    from edgeshrink_metadata.options import Options

HINT = "--metadata-labels FILE: the name of each class, one a line, in the order of the outputs"


def labels(options: Options, data: Dataset | None, values: int | None) -> tuple[str, ...]:
    """Return the name of each value that the model puts out.

    Of the data's two names for yes or no, one value takes that of yes.

    Args:
        options: name the file, if there is one.
        data: has names, if there is no file.
        values: how many the model puts out; None where that is not known yet.

    Raises:
        UsageError: there are no names, or the file cannot be read.
        DataError: names are empty, alike, or not as many as values.
    """
    if options.labels:
        return _checked(_lines(Path(options.labels)), options.labels, values)
    names = data.class_names if data else ()
    if data is None or not names:
        told = f"{data.name} has none" if data else "there is no data to take them from"
        raise UsageError(f"metadata needs the names of the classes; {told}", hint=HINT)
    if values == 1 and len(names) == 2:
        names = names[1:]
    return _checked(names, data.name, values)


def _lines(path: Path) -> list[str]:
    try:
        text = read_text(path, "labels")
    except UsageError as error:
        error.hint = error.hint or HINT
        raise
    return [line.strip() for line in text.removeprefix("\ufeff").rstrip().split("\n")]


def _checked(names: Sequence[str], source: str, values: int | None) -> tuple[str, ...]:
    for place, name in enumerate(names, 1):
        if not name.strip() or "\n" in name:
            what = "is empty" if not name.strip() else f"has several lines: {name!r}"
            raise DataError(
                f"the name of a class must be one line of text; number {place} in {source} {what}",
                hint=HINT,
            )
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(
            f"classes must have names of their own; {source} has {name!r} {count} times",
            hint="apps tell classes by their names: rename all but one",
        )
    if values not in (None, len(names)):
        raise DataError(
            f"each value that the model puts out must have a name; there are {values}, and "
            f"{source} has {len(names)} names",
            hint=HINT,
        )
    return tuple(names)
