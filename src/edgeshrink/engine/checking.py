"""Hold a report against rules, by itself or beside an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeshrink.engine.measuring.bench_request import BenchReport
from edgeshrink.errors import UsageError
from edgeshrink.results import Budgets, Figures, Report, Rule, read_document, rules_of


@dataclass(frozen=True)
class Check:
    """A report held against rules.

    Attributes:
        report: where it is.
        baseline: where the report is that it was compared with; empty for none.
        rules: each, kept or not.
        failed: why the run itself was not what was asked for; empty if it was.
    """

    report: str
    baseline: str
    rules: tuple[Rule, ...]
    failed: str = ""

    @property
    def unkept(self) -> tuple[Rule, ...]:
        """The rules that are not kept."""
        return tuple(rule for rule in self.rules if not rule.kept)

    @property
    def verdict(self) -> str:
        """Whether all rules are kept, in a few words."""
        count, missed = len(self.rules), len(self.unkept)
        if not missed:
            return f"kept: {_counted(count)}"
        return f"NOT kept: {missed} of {_counted(count)}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        rules = [{**asdict(rule), "kept": rule.kept} for rule in self.rules]
        return {**asdict(self), "kept": not self.unkept, "rules": rules}


def check(path: Path, budgets: Budgets, baseline: Path | None = None) -> Check:
    """Return what rules say of a report of `compress` or `bench`.

    Each is held by the result of `compress`, or by each model of `bench` but the first of several.

    Args:
        path: of the report: a .json file, a run folder, or the file beside it.
        budgets: the rules.
        baseline: an earlier report, whose result is what the rules compare with; without, a result
            is compared with the base, or the first model, of its own report.

    Raises:
        UsageError: there is no rule, or none that a baseline matters to, or no report.
        EdgeshrinkError: what is there is no report.
    """
    if not budgets.any:
        raise UsageError(
            "check needs a rule", hint="as in --max-drop 1%, --max-bytes 100kB or --max-ms 'p90<25'"
        )
    if baseline and not budgets.compares:
        raise UsageError(
            "--baseline is for rules that compare, and there is none",
            hint="give --max-drop, --no-larger or --no-slower",
        )
    found = read_document(path, _read)
    pairs = _pairs(found)
    if baseline:
        before = [one for one, _ in _pairs(read_document(baseline, _read))]
        pairs = [(one, _matching(one, before)) for one, _ in pairs]
    rules = tuple(rule for one, other in pairs for rule in rules_of(budgets, one, other))
    failed = found.failed if isinstance(found, Report) else ""
    return Check(str(path), str(baseline or ""), rules, failed)


def _read(document: Mapping[str, Any]) -> Report | BenchReport:
    kind = BenchReport if "results" in document else Report
    return kind.from_dict(document)


def _pairs(report: Report | BenchReport) -> list[tuple[Figures, Figures | None]]:
    """Return each file that rules are for, and what it is compared with in its own report."""
    return [report.figures()] if isinstance(report, Report) else report.pairs()


def _matching(one: Figures, earlier: Sequence[Figures]) -> Figures | None:
    """Return the earlier figures of a file: of the only one, or of that with its name."""
    named = earlier if len(earlier) == 1 else [other for other in earlier if other.name == one.name]
    return replace(named[0], name="the baseline") if len(named) == 1 else None


def _counted(count: int) -> str:
    return f"{count} rule{'s' * (count != 1)}"
