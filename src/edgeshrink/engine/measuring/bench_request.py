"""What a benchmark is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeshrink.devices import RULES, BenchPlan, Failure, Measurement
from edgeshrink.recipes import Agreement
from edgeshrink.results import SCHEMA, Robustness, Score


@dataclass(frozen=True)
class BenchRequest:
    """Models to measure, and where.

    Attributes:
        at: address of the one device, in place of its profile's.
        connection: options of targets, over those of the profiles.
        trust_profile: profiles that are named by their path may name programs of this machine.
        resume: take what an earlier, cut run of the same request has measured.
        robustness: also score on perturbed test images, run here.
        robustness_samples: how many test samples are perturbed, at most.
    """

    models: tuple[Path, ...]
    devices: tuple[str, ...] = ("desktop",)
    at: str = ""
    connection: Mapping[str, Any] = field(default_factory=dict)
    trust_profile: bool = False
    resume: bool = False
    plan: BenchPlan = RULES["quick"]
    data: str = ""
    preprocess: str = "none"
    resize: str = "keras"
    task: str = ""
    metric: str = ""
    robustness: bool = False
    robustness_samples: int = 1000
    command: str = ""


@dataclass(frozen=True)
class BenchResult:
    """One model on one device.

    Attributes:
        p_value: that its score differs from the first model's only by chance.
        agreement: with the first model, on the test samples.
        host_error: greatest difference of the device's outputs from this machine's, over their
            range; None where the device is this machine, or nothing could be compared.
        notes: sentences.
    """

    model: str
    device: str
    size_bytes: int
    compressed_bytes: int
    measurement: Measurement | None
    failure: Failure | None
    scores: tuple[Score, ...] = ()
    p_value: float | None = None
    agreement: Agreement | None = None
    host_error: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BenchReport:
    """All models on all devices.

    Attributes:
        robustness: scores of the first model and of another on perturbed test images, by the
            other's path.
    """

    results: tuple[BenchResult, ...]
    notes: tuple[str, ...]
    command: str
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    robustness: Mapping[str, Robustness] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def lost(self) -> bool:
        """Whether a device was unreachable or lost."""
        return any(r.failure is not None and r.failure.lost for r in self.results)

    @property
    def failed(self) -> bool:
        """Whether any model could not be measured."""
        return any(r.failure is not None for r in self.results)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, statistics included."""
        document = asdict(self)
        for written, result in zip(document["results"], self.results, strict=True):
            written["measurement"] = result.measurement and result.measurement.as_dict()
        return document
