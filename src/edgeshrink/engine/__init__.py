"""The only loops: `plan` tells what would be done, `compress` does it, `bench` measures.

What runs a plan is imported when it runs: mistakes are told before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeshrink.engine.measuring.benchmark import BenchReport, BenchRequest, BenchResult
from edgeshrink.engine.planning.planner import plan
from edgeshrink.engine.planning.request import Planned, PlannedStep, Request

if TYPE_CHECKING:
    from pathlib import Path

    from edgeshrink.engine.sensing import SensitivityReport, SensitivityRequest
    from edgeshrink.engine.studies.jobs import StudyRequest
    from edgeshrink.plugins import Plugins
    from edgeshrink.results.report import Report
    from edgeshrink.results.study_report import StudyReport

__all__ = [
    "BenchReport",
    "BenchRequest",
    "BenchResult",
    "Planned",
    "PlannedStep",
    "Request",
    "bench",
    "compress",
    "pack",
    "plan",
    "sensitivity",
    "study",
]


def compress(planned: Planned, plugins: Plugins) -> Report:
    """Run the plan and return what was found; the result lies at `planned.request.out`.

    Interrupted anywhere, the same request goes on from the last whole stage.

    Raises:
        EdgeshrinkError: a step failed; the message names it and the last good model.
    """
    from edgeshrink.engine import compressing

    return compressing.compress(planned, plugins)


def bench(request: BenchRequest, plugins: Plugins) -> BenchReport:
    """Measure every model on every device; a device that is lost does not end the sweep.

    Raises:
        UsageError: a model, device or metric does not exist.
        DataError: the data cannot be used.
    """
    from edgeshrink.engine import benching

    return benching.bench(request, plugins)


def pack(model: Path, plugins: Plugins) -> tuple[bytes, dict[str, Any]]:
    """Return a .tflite file packed, and how it was coded.

    Raises:
        UsageError: no plugin packs.
        ModelError: the file is no .tflite file.
    """
    from edgeshrink.engine import packing

    return packing.pack(model, plugins)


def study(request: StudyRequest, plugins: Plugins) -> StudyReport:
    """Run what is not done yet of a study, write its tables, and return them.

    Raises:
        UsageError: the file cannot be read, no row fits, or another process works on it.
        StudyError: what is inside the file is wrong.
    """
    from edgeshrink.engine.studies import running

    return running.study(request, plugins)


def sensitivity(request: SensitivityRequest, plugins: Plugins) -> SensitivityReport:
    """Measure what fewer bits in each layer alone do to a model's answers.

    Raises:
        UsageError: what the request says is wrong, or no plugin measures.
        ModelError: the model cannot be worked with.
        DataError: the data cannot be used, or does not fit the model.
    """
    from edgeshrink.engine import sensing

    return sensing.sensitivity(request, plugins)
