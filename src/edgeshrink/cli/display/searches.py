"""What a search found, on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.results import search_cells, search_heads, search_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from edgeshrink.results import SearchReport


def show_search(report: SearchReport, *, to: Console, files: Sequence[Path]) -> None:
    """Print the recipe that was picked, and the front with the uncompressed model above it."""
    from edgeshrink.cli.display.tables import Column, show, write

    for text in search_summary(report):
        write(text, to=to)
    if report.front:
        to.print()
        names, *columns = (
            Column(head, list(cells))
            for head, cells in zip(
                search_heads(report), zip(*search_cells(report), strict=True), strict=True
            )
        )
        show(names, columns, to=to)
    if files:
        to.print()
        write(f"written: {', '.join(map(str, files))}", to=to)
