"""How measurements look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink import words
from edgeshrink.cli.display.estimates import estimated
from edgeshrink.cli.display.robustness import show_robustness
from edgeshrink.cli.display.tables import Column, left, show, write

if TYPE_CHECKING:
    from rich.console import Console

    from edgeshrink.devices import Measurement
    from edgeshrink.engine import BenchReport, BenchResult


EMULATED, NOT_RUN = "emulated", "not run"


def show_bench(report: BenchReport, *, to: Console) -> None:
    """Print a row for each model on each device, what it was measured with, and notes."""
    results = report.results
    for rule in report.rules:
        write(str(rule), to=to)
    if report.rules:
        to.print()
    several = len({result.device for result in results}) > 1
    names = [_named(result, several) for result in results]
    show(Column("model", names), _columns(results), to=to)
    to.print()
    said: dict[str, None] = {}  # an ordered set
    for result in results:
        if found := result.measurement:
            said.setdefault(setting(found), None)
            for text in (*result.notes, *_remarks(found)):
                said.setdefault(f"{_named(result, several)}: {text}", None)
            if result.host_error is not None:
                said.setdefault(f"{_named(result, several)}: {_compared(result.host_error)}", None)
        if result.failure:
            said.setdefault(f"{_named(result, True)}: {result.failure.reason}", None)
    if any(r.measurement and r.measurement.model_memory_bytes for r in results):
        said.setdefault(words.MEMORY)
    for line in (*said, *report.notes):
        write(line, to=to, lead="– ")
    base = Path(results[0].model).name
    for path, perturbed in report.robustness.items():
        to.print()
        write(f"{base} before, {Path(path).name} after, on perturbed images:", to=to)
        show_robustness(perturbed, to=to)
    for result in results:
        if result.measurement and result.measurement.operators:
            _operators(_named(result, several), result.measurement, to)


def _compared(error: float) -> str:
    """Return how near the outputs of a device are to this machine's."""
    if error == 0:
        return "its outputs there are those of this machine, exactly"
    return (
        "its outputs there differ from this machine's by "
        f"{words.percent(error, 2)} of their range at most"
    )


def _named(result: BenchResult, several: bool) -> str:
    name = Path(result.model).name
    return f"{name} @ {result.device}" if several else name


def _columns(results: Sequence[BenchResult]) -> list[Column]:
    def timed(read: Callable[[Measurement], str]) -> list[str]:
        return [
            words.NONE
            if not r.measurement
            else NOT_RUN
            if r.measurement.estimate
            else EMULATED
            if r.measurement.device.emulated
            else read(r.measurement)
            for r in results
        ]

    def told(read: Callable[[Measurement], str]) -> list[str]:
        return [read(r.measurement) if r.measurement else words.NONE for r in results]

    milliseconds, scores = words.milliseconds, [r.scores[0] if r.scores else None for r in results]
    metric = next((score.metric for score in scores if score), "score")
    marks = [" *" if r.p_value is not None and r.p_value < 0.05 else "" for r in results]
    return [
        Column("bytes", [f"{r.size_bytes:,}" for r in results], 1),
        Column("deflated", [f"{r.compressed_bytes:,}" for r in results], 1),
        Column("median", timed(lambda m: milliseconds(m.median_ms))),
        Column("p90", timed(lambda m: milliseconds(m.p90_ms))),
        Column("p99", timed(lambda m: milliseconds(m.p99_ms))),
        Column("±", timed(lambda m: milliseconds(m.standard_error_ms))),
        Column("first", timed(lambda m: milliseconds(m.first_ms))),
        Column("load", timed(lambda m: milliseconds(m.load_ms))),
        Column("valid", timed(lambda m: "yes" if m.valid else "NO")),
        Column("memory", told(lambda m: words.size(m.model_memory_bytes)), 1),
        Column("process", told(lambda m: words.size(m.peak_memory_bytes)), 1),
        Column("arena", told(lambda m: words.size(m.arena_bytes)), 1),
        Column("energy", told(_energy), 1),
        Column(
            metric,
            [words.score(s) + m if s else words.NONE for s, m in zip(scores, marks, strict=True)],
            1,
        ),
        Column("95 %", [words.interval(s) if s else words.NONE for s in scores], 1),
        Column(
            "agrees",
            [words.percent(r.agreement.share) if r.agreement else words.NONE for r in results],
            1,
        ),
        *estimated([r.measurement.estimate if r.measurement else None for r in results]),
    ]


def _energy(found: Measurement) -> str:
    return f"{words.digits(found.energy.millijoules)} mJ" if found.energy else words.NONE


def setting(found: Measurement) -> str:
    """Return what a measurement was made with, in a line."""
    device, plan = found.device, found.plan
    machine = device.adapter or device.cpu or device.machine
    runtime = f"{device.runtime} {device.runtime_version}".strip()
    return (
        f"{device.name}: {', '.join(filter(None, (machine, device.system, runtime)))}; "
        f"threads: {found.threads}, kernels: {found.kernels}, "
        + (
            device.emulated
            if found.estimate
            else f"EMULATED ({device.emulated}): its times are not shown"
            if device.emulated
            else f"rules: {plan.rules} "
            f"(compared at {'the median' if plan.percentile == 50 else f'p{plan.percentile}'})"
        )
    )


def _remarks(found: Measurement) -> list[str]:
    if found.energy:
        idle = found.energy.idle_watts
        rest = "" if idle is None else f", {words.digits(idle)} W at rest"
        power = f"energy by {found.energy.source}, over {found.energy.seconds:.0f} s{rest}"
    said = [*([power] if found.energy else []), *found.notes]
    said += [found.operators_basis] if found.operators_basis else []
    said += [f"not valid: {reason}" for reason in found.disturbed]
    if not found.valid and not found.disturbed and not found.device.emulated:
        said.append(
            f"not valid under the rules {found.plan.rules!r}: {found.runs:,} runs "
            f"in {words.digits(found.counted_seconds)} s, where {found.plan.runs:,} "
            f"runs and {found.plan.seconds:g} s are asked for"
        )
    return said


def _operators(name: str, found: Measurement, to: Console) -> None:
    if found.device.emulated:
        return
    to.print()
    ordered = sorted(found.operators, key=lambda operator: -operator.milliseconds)
    show(
        Column(f"operators of {name}", [operator.name for operator in ordered]),
        [
            Column(
                "of the median",
                [words.milliseconds(one.share * found.median_ms) for one in ordered],
            ),
            Column("share", [words.percent(operator.share) for operator in ordered]),
            left("layer", [operator.layer or words.NONE for operator in ordered]),
            Column("calls", [f"{operator.calls:,}" for operator in ordered]),
        ],
        to=to,
    )
