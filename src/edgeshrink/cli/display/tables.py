"""Tables that fit the width at hand: one wide table, or the same columns as several narrow ones."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from edgeshrink import words
from edgeshrink.texts import shown

if TYPE_CHECKING:
    from rich.console import Console

# Of a table that goes into a file or another program.
PIPED_WIDTH = 120
FOLDED = 12  # characters that names of rows have at least, as far as they have so many
WRAPPED = 30  # characters from which on a cell is wrapped


@dataclass(frozen=True)
class Column:
    """A column and its cells.

    Attributes:
        group: columns of one group stay together where the table is too wide for the screen.
        text: words rather than numbers.
    """

    head: str
    cells: list[str] = field(default_factory=list)
    group: int = 0
    text: bool = False

    @property
    def empty(self) -> bool:
        """Whether no cell says anything."""
        return all(cell in ("", words.NONE) for cell in self.cells)

    @property
    def width(self) -> int:
        """Characters of its widest line."""
        return max(len(line) for text in (self.head, *self.cells) for line in text.split("\n"))


def left(head: str, cells: list[str], group: int = 0) -> Column:
    """Return a column of words."""
    return Column(head, cells, group, text=True)


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output or standard error; a file gets no control characters."""
    return console_on(sys.stderr if stderr else sys.stdout)


def console_on(stream: TextIO) -> Console:
    """Return a console on a stream, on which names from strangers' files are shown safely."""
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH
    return _safe_console()(file=stream, width=width, highlight=False, markup=False, emoji=False)


@functools.cache
def _safe_console() -> type[Console]:
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        """A console whose text, other than its own commands, cannot steer the terminal."""

        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                text, style, control = segment
                yield segment if control else Segment(shown(text), style)

    return SafeConsole


def show(names: Column, columns: Sequence[Column], *, to: Console) -> None:
    """Print a table whose rows are named by `names`; columns without any value are left out."""
    said = [column for column in columns if not column.empty]
    wide = names.width + sum(column.width + 2 for column in said) + 1
    groups = sorted({column.group for column in said})
    if wide <= to.width or len(groups) < 2:
        _print(names, said, to)
        return
    parts = [[column for column in said if column.group == group] for group in groups]
    for place, some in enumerate(one for part in parts for one in _fitting(names, part, to)):
        if place:
            to.print()
        _print(names, some, to)


def _fitting(names: Column, columns: Sequence[Column], to: Console) -> list[list[Column]]:
    """Return columns as several tables, where one would cut them even with all words wrapped."""
    found: list[list[Column]] = [[]]
    left_over = room = to.width - min(names.width, FOLDED) - 1
    for column in columns:
        takes = min(column.width, WRAPPED) + 2
        if takes > left_over and found[-1]:
            found.append([])
            left_over = room
        found[-1].append(column)
        left_over -= takes
    return found


def _print(names: Column, columns: Sequence[Column], to: Console) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(names.head, overflow="fold", min_width=min(names.width, FOLDED))
    for column in columns:
        table.add_column(
            column.head,
            justify="left" if column.text else "right",
            no_wrap=column.width < WRAPPED,
            overflow="fold",
        )
    for row in zip(names.cells, *(column.cells for column in columns), strict=True):
        table.add_row(*row)
    to.print(table)


def write(text: str, *, to: Console, lead: str = "") -> None:
    """Print a paragraph wrapped to the console's width, its further lines indented."""
    import textwrap

    hang = " " * len(lead)
    for paragraph in text.splitlines() or [""]:
        lines = textwrap.wrap(
            paragraph,
            to.width,
            initial_indent=lead,
            subsequent_indent=hang,
            break_long_words=False,
            break_on_hyphens=False,
        )
        to.print("\n".join(lines) or lead.rstrip(), soft_wrap=True)
