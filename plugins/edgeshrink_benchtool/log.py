"""Read what benchmark_model prints; its lines carry "INFO: ", Android's log prefix, or nothing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from edgeshrink.api import OperatorTime, Summary

_COUNT = re.compile(r"\bcount=(\d+)((?: \w+=\S+)+)")
_TIMINGS = re.compile(
    r"Inference timings in us: Init: (\S+), First inference: (\S+), Warmup \(avg\): (\S+), "
    r"Inference \(avg\): (\S+)"
)
_GROWTH = re.compile(
    r"(?:Memory footprint delta from the start of the tool|Peak memory footprint) \(MB\): "
    r"init=(\S+) overall=(\S+)"
)
_PEAK = re.compile(r"Overall peak memory footprint \(MB\) via periodic monitoring: (\S+)")
_APPLIED = re.compile(
    r"(?:Explicitly a|A)pplied (\w+) delegate, and the model graph will be (completely|partially)"
)
_REPLACED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\)")
_REFUSED = re.compile(
    r"\w+ acceleration is unsupported on this platform|Failed to apply \w+ delegate|"
    r"Though \w+ delegate is (?:explicitly )?applied, the model graph will not be executed|"
    r"Disallowed CPU fallback detected|Unconsumed cmdline flags: .*--use_(?:gpu|npu)\S*"
)
_PROFILE = "Operator-wise Profiling Info for Regular Benchmark Runs"
# Means are told with six significant digits.
ROUNDING = 2e-5


class LogError(Exception):
    """The log is not what the tool prints at the end of a run."""


@dataclass(frozen=True)
class Told:
    """What one run of the tool said.

    Attributes:
        summary: of the counted runs.
        init_ns: making the interpreter and its delegates ready.
        first_ns: the first run of all.
        growth_bytes: resident memory at the end less that at the tool's start.
        peak_bytes: greatest resident memory, if it was watched.
    """

    summary: Summary
    init_ns: float
    first_ns: float
    growth_bytes: int | None
    peak_bytes: int | None


def parse(text: str) -> Told:
    """Return what a log says.

    Raises:
        LogError: a line is missing, or a number cannot be.
    """
    timings = _TIMINGS.search(text)
    if timings is None:
        raise LogError("it printed no line with inference timings")
    init, first, _, mean = (_number(word, "timing") for word in timings.groups())
    summaries = [_summary(int(count), rest) for count, rest in _COUNT.findall(text)]
    # The runs before counting have a line of their own, which comes first.
    for summary in reversed(summaries):
        if math.isclose(summary.mean_ns, mean * 1e3, rel_tol=ROUNDING, abs_tol=1e3):
            growth, peak = _GROWTH.search(text), _PEAK.search(text)
            return Told(
                summary,
                init * 1e3,
                first * 1e3,
                _bytes(growth[2]) if growth else None,
                _bytes(peak[1]) if peak else None,
            )
    raise LogError(f"it printed no line of counted runs with the mean that it tells, {mean:g} µs")


def _summary(count: int, rest: str) -> Summary:
    told = {key: value for key, _, value in (pair.partition("=") for pair in rest.split())}
    if count == 1:  # then `curr` is all there is
        told = {"first": told.get("curr", ""), "std": "0", **told}
        told = {**{key: told["first"] for key in ("min", "max", "avg")}, **told}
    try:
        values = {key: _number(told[key], key) * 1e3 for key in ("avg", "min", "max", "std")}
    except KeyError as missing:
        raise LogError(f"its line of counted runs tells no {missing.args[0]}") from None
    median, p95 = (
        _number(told[key], key) * 1e3 if key in told else None for key in ("median", "p95")
    )
    least, most = values["min"] * (1 - ROUNDING), values["max"] * (1 + ROUNDING)
    within = (values["avg"], *(v for v in (median, p95) if v is not None))
    if count < 1 or not all(least <= value <= most for value in within):
        raise LogError(f"its line of counted runs contradicts itself: count={count}{rest}")
    return Summary(count, values["avg"], values["min"], values["max"], values["std"], median, p95)


def _number(word: str, what: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise LogError(f"it printed {word[:40]!r} as {what}, which is no number") from None
    if not (math.isfinite(value) and value >= 0):
        raise LogError(f"it printed {word[:40]} as {what}, which cannot be")
    return value


def _bytes(word: str) -> int | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return round(value * (1 << 20)) if math.isfinite(value) and value > 0 else None


def delegated(text: str) -> tuple[bool, str]:
    """Return whether anything ran on an accelerator.

    Returns:
        True, and which part did, empty for all; or False, and the tool's words why.
    """
    applied = [how for name, how in _APPLIED.findall(text) if name.upper() != "XNNPACK"]
    nodes = [
        (int(part), int(whole))
        for part, whole, name in _REPLACED.findall(text)
        if "xnnpack" not in name.lower()
    ]
    moved, whole = sum(part for part, _ in nodes), sum(whole for _, whole in nodes)
    part = f"{moved} of {whole} operators" if moved else "a part of the operators"
    if applied:
        return True, part if "partially" in applied else ""
    if moved:
        return True, part if moved < whole else ""
    refused = _REFUSED.search(text)
    return False, refused[0] if refused else "its log names no delegate but XNNPACK"


def operators(text: str) -> tuple[OperatorTime, ...]:
    """Return the time of each operator, in the order of the run; empty if it was not told."""
    _, found, table = text.partition(_PROFILE)
    if not found:
        return ()
    columns: list[str] = []
    rows: list[tuple[str, float, int]] = []
    for line in table.splitlines()[1:]:
        cells = [cell.strip() for cell in re.split(r"\t| {2,}", line) if cell.strip()]
        if "[node type]" in line:
            # The columns are set apart by tabs, some copies of it by single spaces.
            columns = re.findall(r"\[[^]]+\]", line)
        elif columns and len(cells) >= len(columns):
            try:
                milliseconds = float(cells[columns.index("[avg ms]")])
                calls = int(cells[columns.index("[times called]")])
            except ValueError:
                break
            rows.append((cells[0], milliseconds, calls))
        elif columns:
            break
    total = math.fsum(milliseconds for _, milliseconds, _ in rows)
    if not (math.isfinite(total) and total > 0):
        return ()
    return tuple(OperatorTime(name, time, time / total, calls) for name, time, calls in rows)
