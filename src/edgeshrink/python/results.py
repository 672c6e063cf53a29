"""What functions return: reports, which a notebook shows, and which give tables and models."""

from __future__ import annotations

import html
from abc import abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edgeshrink import words
from edgeshrink.engine import BenchReport
from edgeshrink.errors import UsageError
from edgeshrink.models import write_text
from edgeshrink.python.speaking import speaks_python
from edgeshrink.results import Report, SearchReport, SensitivityReport, StudyReport, json_text

FRAME = '<iframe srcdoc="{}" style="width:100%;height:36em;border:0" sandbox></iframe>'


class Shown:
    """What a report is in Python, beside what it tells.

    A report has its fields, and prints as one line. A notebook shows it as a page or a table.
    """

    @classmethod
    def of(cls, report: Any) -> Self:
        """Return a report of the engine, with what a report is in Python."""
        return cls(**{one.name: getattr(report, one.name) for one in fields(report)})

    @property
    @abstractmethod
    def line(self) -> str:
        """What it says, in one line."""

    @abstractmethod
    def table(self) -> list[dict[str, Any]]:
        """Return its rows, each with values by name: plain numbers, texts and None."""

    if TYPE_CHECKING:  # every report has it

        def as_dict(self) -> dict[str, Any]:
            """Return all of it as plain JSON values."""

    def page(self, reporter: Any) -> str:
        """Return it as a reporter writes it down; empty where there is no form for it."""
        return ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.line}>"

    def _repr_html_(self) -> str:
        from edgeshrink.plugins import installed

        page = self.page(installed().reporters["html"]())
        if page:
            return FRAME.format(html.escape(page))
        rows = self.table()
        heads = "".join(f"<th>{html.escape(head)}</th>" for head in (rows or [{}])[0])
        cells = (
            "".join(f"<td>{html.escape(_told(value))}</td>" for value in row.values())
            for row in rows
        )
        body = "".join(f"<tr>{one}</tr>" for one in cells)
        return f"<p>{html.escape(self.line)}</p><table><tr>{heads}</tr>{body}</table>"

    def to_pandas(self) -> Any:
        """Return its rows as a table of pandas.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ModuleNotFoundError as error:
            raise UsageError(
                "to_pandas needs pandas", hint="pip install pandas, or use table()"
            ) from error
        return pandas.DataFrame(self.table())

    @speaks_python
    def save(self, path: str | Path) -> None:
        """Write it to a file.

        Args:
            path: ends in .json, or in .md or .html where there is such a form.

        Raises:
            UsageError: there is no form for such files.
            OSError: it cannot be written.
        """
        from edgeshrink.plugins import installed

        path = Path(path)
        if path.suffix == ".json":
            write_text(path, json_text(self.as_dict()) + "\n")
            return
        pages = {one.suffix: self.page(one()) for one in installed().reporters.values()}
        if not pages.get(path.suffix):
            known = ", ".join([".json", *(s for s, page in pages.items() if page and s != ".json")])
            raise UsageError(f"it can be saved as {known}; received {str(path)!r}")
        write_text(path, pages[path.suffix])


@dataclass(frozen=True, repr=False)
class Compression(Shown, Report):
    """What `edgeshrink.compress` returns: the report of a run."""

    @property
    def line(self) -> str:
        """The verdict, the bytes and the time, before and after."""
        base, final = self.ledger.uncompressed, self.ledger.final
        verdict = "; ".join(str(self.verdict).splitlines())
        said = [f"{self.output}: {verdict}".rstrip("."), _bytes(base.size_bytes, final)]
        times = [row.latency for row in (base, final)]
        if times[0] and times[1] and times[0].device == times[1].device:
            before, after = (words.milliseconds(one.median_ms) for one in times if one)
            said.append(f"{before} → {after} on {times[1].device}")
        return "; ".join(said + ([self.failed] if self.failed else []))

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each stage: bytes, score, sparsity, and times by device."""
        found = []
        for row in self.ledger.rows:
            times = {f"ms on {o.device}": o.latency and o.latency.median_ms for o in row.on}
            found.append(
                {
                    "step": row.step,
                    "metric": row.score.metric if row.score else None,
                    "score": row.score.value if row.score else None,
                    "p_value": row.p_value,
                    "bytes": row.size_bytes,
                    "deflated": row.compressed_bytes,
                    "sparsity": row.sparsity,
                    "macs": row.macs,
                    "seconds": row.seconds,
                    **times,
                }
            )
        return found

    def page(self, reporter: Any) -> str:
        """Return it as a reporter writes down a run."""
        return str(reporter.render(self))

    @speaks_python
    def load(self) -> Any:
        """Return the result, ready to be called on samples as the model sees them.

        Returns:
            A `keras.Model` of a .keras file, else a `Net`, which runs the file in LiteRT.

        Raises:
            UsageError: the file is not there any more.
        """
        from edgeshrink.python.running import Net

        path = Path(self.output)
        if not path.is_file():
            raise UsageError(f"the result {self.output} is not there any more")
        if path.suffix != ".keras":
            return Net(path)
        from edgeshrink.nn.loading import load_stored

        return load_stored(path)


@dataclass(frozen=True, repr=False)
class Bench(Shown, BenchReport):
    """What `edgeshrink.bench` returns: models on devices."""

    @property
    def line(self) -> str:
        """How many files were measured where, and what was not kept."""
        names = ", ".join(self.by_device())
        some = next(iter(self.by_device().values()), [])
        return "; ".join(
            filter(None, (f"{len(some)} file{'s' * (len(some) != 1)} on {names}", self.unmet))
        )

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each file on each device."""
        found = []
        for one in self.results:
            timed = one.measurement
            own = timed if timed and not timed.device.emulated and not timed.estimate else None
            found.append(
                {
                    "model": str(one.model),
                    "device": one.device,
                    "bytes": one.size_bytes,
                    "median_ms": own and own.median_ms,
                    "p90_ms": own and own.p90_ms,
                    "model_memory_bytes": timed and timed.model_memory_bytes,
                    "arena_bytes": timed and timed.arena_bytes,
                    "estimated_cycles": timed.estimate.cycles if timed and timed.estimate else None,
                    "metric": one.scores[0].metric if one.scores else None,
                    "score": one.scores[0].value if one.scores else None,
                    "failure": one.failure.reason if one.failure else None,
                }
            )
        return found


@dataclass(frozen=True, repr=False)
class Inspection(Shown):
    """What `edgeshrink.inspect` returns: what is in a model.

    Attributes:
        found: all of it, as plain JSON values: `inputs`, `outputs`, `layers` or `operators`,
            `parameters`, `macs`, `size_bytes`, `notes`, and `readers` of a .tflite.
    """

    found: dict[str, Any]

    @property
    def line(self) -> str:
        """The file's kind, weights and bytes."""
        told = self.found
        return (
            f"{told['model']}: {told['kind']}, {told['parameters']:,} parameters, "
            f"{told['macs']:,} MACs, {told['size_bytes']:,} bytes"
        )

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each layer, or each operator of a .tflite."""
        rows: list[dict[str, Any]] = self.found.get("layers") or self.found.get("operators") or []
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return self.found


@dataclass(frozen=True, repr=False)
class Search(Shown, SearchReport):
    """What `edgeshrink.search` returns: what was tried, and what was picked."""

    @property
    def line(self) -> str:
        """What was picked, and of how many."""
        picked = next((t.words for t in self.trials if t.number == self.picked), "none picked")
        said = f"{picked}, of {len(self.measured):,} of {self.size:,} recipes → {self.output}"
        return "; ".join([said, *([self.failed] if self.failed else [])])

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each recipe that was looked at; scores are of validation samples."""
        return [
            {
                "number": one.number,
                "recipe": one.words,
                "outcome": one.outcome,
                "on_front": one.on_front,
                "score": one.score.value if one.score else None,
                **{goal: one.values.get(goal) for goal in self.goals},
                "seconds": one.seconds,
            }
            for one in self.trials
        ]

    def page(self, reporter: Any) -> str:
        """Return it as a reporter writes down a search."""
        return str(reporter.search(self))


@dataclass(frozen=True, repr=False)
class Layers(Shown, SensitivityReport):
    """What `edgeshrink.sensitivity` returns: what each layer bears."""

    @property
    def line(self) -> str:
        """How many layers were tried by which methods, and the most sensitive one."""
        most = self.layers[0].layer if self.layers else "none"
        tried = ", ".join(self.methods)
        return f"{len(self.layers)} layers by {tried}; the most sensitive is {most}"

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each method and strength at each layer."""
        return [
            {"layer": one.layer, "parameters": one.parameters, **vars(effect)}
            for one in self.layers
            for effect in one.effects
        ]


@dataclass(frozen=True, repr=False)
class Study(Shown, StudyReport):
    """What `edgeshrink.study` returns: tables of models and recipes."""

    @property
    def line(self) -> str:
        """How many rows there are in how many tables, and how many failed."""
        rows = [row for table in self.tables for row in table.rows]
        failed = sum(row.failed for row in rows)
        said = f"{self.title}: {len(rows)} rows in {len(self.tables)} tables"
        return said + (f", {failed} of them failed" if failed else "")

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each row of the tables."""
        return [
            {
                "table": table.name,
                "row": row.label,
                **{
                    column.key: cell.ours and cell.ours.mean
                    for column, cell in zip(table.columns, row.cells, strict=True)
                },
            }
            for table in self.tables
            for row in table.rows
        ]

    def page(self, reporter: Any) -> str:
        """Return it as a reporter writes down a study."""
        return str(reporter.study(self))


def _bytes(before: int, row: Any) -> str:
    return f"{before:,} → {row.size_bytes:,} bytes"


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return words.NONE if value is None else f"{value:,}" if isinstance(value, int) else str(value)
