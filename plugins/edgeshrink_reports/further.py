"""What a report tells beside its ledger: figures of merit, and scores on perturbed images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeshrink.api import Pair, Robustness, Row

NONE = "–"


def merit_heads(rows: Sequence[Row]) -> list[str]:
    """Return the heads of the table of merits; a single one where there are none."""
    return ["stage", *(name.replace("_", " ") for name in _merits(rows))]


def merit_cells(rows: Sequence[Row], row: Row) -> list[str]:
    """Return a stage's figures of merit."""
    told = (row.merits.get(name) for name in _merits(rows))
    return [row.step, *(NONE if value is None else _figure(value) for value in told)]


def _merits(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.merits))


def robustness_heads(found: Robustness) -> list[str]:
    """Return the heads of the table of perturbations."""
    most = max((len(case.levels) for case in found.cases), default=0)
    severities = (f"severity {place}" for place in range(1, most + 1))
    return ["perturbation", f"{found.metric} before", "after", "change", *severities]


def robustness_cells(found: Robustness) -> list[list[str]]:
    """Return a row for each perturbation: means, and before → after at each severity."""
    cases = {case.perturbation: case for case in found.cases}
    most = len(robustness_heads(found)) - 4
    rows = []
    for name, mean in found.means().items():
        pairs = cases[name].pairs if name in cases else ()
        single = [f"{_value(found, p.before)} → {_value(found, p.after)}{_mark(p)}" for p in pairs]
        rows.append(
            [
                name,
                _value(found, mean.before),
                _value(found, mean.after),
                _change(found, mean),
                *single,
                *[NONE] * (most - len(single)),
            ]
        )
    return rows


def robustness_footnote(found: Robustness) -> str:
    """Return on what the scores are, and what the severities mean."""
    ranges = ", ".join(f"{low:g} to {high:g}" for low, high in found.ranges.values())
    unit = " in %" if _is_share(found) else ""
    levels = "; ".join(
        f"{case.perturbation}, {case.unit}: {', '.join(f'{level:.3g}' for level in case.levels)}"
        for case in found.cases
    )
    return (
        f"{found.metric}{unit} on {found.samples:,} test samples with values {ranges}, perturbed "
        "before preprocessing; before, after and change are means over severities. Asterisk: "
        f"differs by more than chance (p < 0.05). Severities: {levels}."
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _value(found: Robustness, value: float) -> str:
    return f"{100 * value:.2f}" if _is_share(found) else f"{value:.4g}"


def _change(found: Robustness, pair: Pair) -> str:
    told = f"{100 * pair.change:+.2f}" if _is_share(found) else f"{pair.change:+.4g}"
    return f"{told}{_mark(pair)}"


def _mark(pair: Pair) -> str:
    return " *" if pair.significant else ""


def _is_share(found: Robustness) -> bool:
    return found.metric.startswith("top")
