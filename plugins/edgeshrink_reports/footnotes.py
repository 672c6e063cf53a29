"""What is said under a study's table of some of its rows, each sentence with a letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from string import ascii_lowercase

from edgeshrink.api import MEASURES, ClaimFound, Column, TableFound

UNEXPLAINED = "The study gives no reason."


@dataclass(frozen=True)
class Footnote:
    """A sentence on some rows.

    Attributes:
        labels: of the rows that bear its letter; empty where it is on every row.
        letter: empty likewise.
        sentence: what is said.
        contradicts: ours goes another way than published there.
    """

    labels: frozenset[str]
    letter: str
    sentence: str
    contradicts: bool

    @property
    def line(self) -> str:
        """The sentence behind its letter."""
        return f"{f'({self.letter})' if self.letter else 'Every row:'} {self.sentence}"


def footnotes(table: TableFound) -> tuple[Footnote, ...]:
    """Return what is said of a table's rows, contradictions of the publication first."""
    letters, count = _letters(), len(table.rows)
    found = [*_contradictions(table), *_remarks(table)]
    found.sort(key=lambda said: (not said[2], len(said[1]) < count))  # stable
    notes = []
    for sentence, labels, contradicts in found:
        everywhere = len(labels) == count > 1
        letter = "" if everywhere else next(letters)
        rows = frozenset(() if everywhere else labels)
        notes.append(Footnote(rows, letter, sentence, contradicts))
    return tuple(notes)


def _contradictions(table: TableFound) -> Iterator[tuple[str, set[str], bool]]:
    """Yield each reason with the figures that it is of, and their rows."""
    grouped: dict[str, tuple[list[str], set[str]]] = {}
    for claim in table.claims:
        if claim.differing:
            figures, labels = grouped.setdefault(claim.why or UNEXPLAINED, ([], set()))
            beside = f"beside “{claim.against}”: " if claim.against else ""
            figures.append(beside + ", ".join(_changes(claim, table.columns)))
            labels |= {one.label for one in claim.differing}
    for why, (figures, labels) in grouped.items():
        yield f"{why} In figures, {'; '.join(figures)}.", labels, True


def _changes(claim: ClaimFound, columns: Iterable[Column]) -> Iterator[str]:
    """Yield, for each measure, what was published and what ours is."""
    for measure in dict.fromkeys(column.measure for column in columns):
        keys = {column.key for column in columns if column.measure == measure}
        some = [change for change in claim.differing if change.column in keys]
        if some:
            head, points = MEASURES[measure].head, MEASURES[measure].in_points
            theirs = _range((c.published for c in some), points) or claim.says
            yield f"{head} {theirs} published and {_range((c.ours for c in some), points)} here"


def _range(values: Iterable[float | None], points: bool) -> str:
    there = [value for value in values if value is not None]
    ends = [_number(value, points) for value in (min(there), max(there))] if there else []
    said = " to ".join(dict.fromkeys(ends))
    return f"{said} points" if said and points else said


def _number(value: float, points: bool) -> str:
    if points:
        said = f"{value:+.1f}".replace("-", "−")
        return "0.0" if said[1:] == "0.0" else said
    return f"× {value:.2f}"


def _remarks(table: TableFound) -> Iterator[tuple[str, set[str], bool]]:
    """Yield what is said of rows in their own sentences, each once with its rows."""
    grouped: dict[str, set[str]] = {}
    for row in table.rows:
        doubts = dict.fromkeys(cell.doubt for cell in row.cells if cell.doubt)
        said = (
            *((row.missing,) if row.missing else ()),
            *row.notes,
            *(f"latency not valid: {doubt}" for doubt in doubts),
            *row.unlike,
            *((row.stale,) if row.stale else ()),
        )
        for sentence in said:
            grouped.setdefault(sentence, set()).add(row.label)
    yield from ((sentence, labels, False) for sentence, labels in grouped.items())


def _letters() -> Iterator[str]:
    yield from ascii_lowercase
    yield from (a + b for a in ascii_lowercase for b in ascii_lowercase)
