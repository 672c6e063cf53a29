"""The only loops: `plan` tells what would be done, `compress` does it, `bench` measures."""

from __future__ import annotations

from edgeshrink.engine.benching import BenchReport, BenchRequest, BenchResult, bench
from edgeshrink.engine.compressing import compress
from edgeshrink.engine.planning import Planned, PlannedStep, Request, plan

__all__ = [
    "BenchReport",
    "BenchRequest",
    "BenchResult",
    "Planned",
    "PlannedStep",
    "Request",
    "bench",
    "compress",
    "plan",
]
