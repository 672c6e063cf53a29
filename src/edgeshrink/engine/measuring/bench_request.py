"""What a benchmark is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeshrink.devices import RULES, BenchPlan, DeviceInfo, Failure, Measurement
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.recipes import Agreement
from edgeshrink.results import (
    SCHEMA,
    Budgets,
    Figures,
    OnDevice,
    Robustness,
    Rule,
    Score,
    Verdict,
)
from edgeshrink.texts import shortly, typed


@dataclass(frozen=True)
class BenchRequest:
    """Models to measure, and where.

    Attributes:
        at: address of the one device, in place of its profile's.
        connection: options of targets, over those of the profiles.
        options: options of runtimes, over those of the profiles.
        trust_profile: profiles that are named by their path may name programs of this machine.
        resume: take what an earlier, cut run of the same request has measured.
        robustness: also score on perturbed test images, run here.
        robustness_samples: how many test samples are perturbed, at most.
        budgets: what the models must keep to: all but the first, which they are compared with.
    """

    models: tuple[Path, ...]
    devices: tuple[str, ...] = ("desktop",)
    at: str = ""
    connection: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    trust_profile: bool = False
    resume: bool = False
    plan: BenchPlan = RULES["quick"]
    data: str = ""
    preprocess: str = "none"
    reading: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    decode: str = ""
    metric: str = ""
    robustness: bool = False
    robustness_samples: int = 1000
    budgets: Budgets = field(default_factory=Budgets)
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

    def on_device(self) -> OnDevice:
        """Return what the device said, as a ledger has it."""
        if self.failure or self.measurement is None:
            why, lost = (self.failure.reason, self.failure.lost) if self.failure else ("", False)
            return OnDevice(self.device, failure=why, lost=lost)
        score = self.scores[0] if self.scores else None
        return replace(OnDevice.of(self.measurement, score, self.host_error), device=self.device)

    def verdict(self) -> Verdict | None:
        """Return what its score is, compared with nothing yet; None without one."""
        if not self.scores:
            return None
        one = self.scores[0]
        return Verdict(
            one.metric,
            one.value,
            one.value,
            one.count,
            one.higher_is_better,
            proportion=one.share,
        )


@dataclass(frozen=True)
class BenchReport:
    """All models on all devices.

    Attributes:
        robustness: scores of the first model and of another on perturbed test images, by the
            other's path.
        rules: the budgets that were asked for, kept or not.
    """

    results: tuple[BenchResult, ...]
    notes: tuple[str, ...]
    command: str
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    robustness: Mapping[str, Robustness] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    schema: int = SCHEMA

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BenchReport:
        """Return the report that `as_dict` wrote.

        Args:
            document: its plain JSON values.

        Raises:
            EdgeshrinkError: it is no whole report, or one of another schema; the message names
                what is missing or wrong.
        """
        schema = document.get("schema")
        if schema != SCHEMA:
            raise EdgeshrinkError(
                f"a report of schema {SCHEMA} is needed; received {shortly(schema)}",
                hint="measure again with this version",
            )
        found = typed(cls, document, "the report")
        counts = {len(results) for results in found.by_device().values()}
        if len(counts) != 1:
            raise EdgeshrinkError("the report is not whole: each device must tell of each model")
        for result in found.results:
            timed = result.measurement
            if timed and not timed.summary and not timed.samples_ns:
                raise EdgeshrinkError("the measurement has no counted run")
        return found

    def by_device(self) -> dict[str, list[BenchResult]]:
        """Return the results on each device, one a model in the order of the request."""
        found: dict[str, list[BenchResult]] = {}
        for result in self.results:
            found.setdefault(result.device, []).append(result)
        return found

    def figures(self) -> tuple[Figures, ...]:
        """Return the figures of each model, on all devices, in the order of the request."""
        return tuple(map(self._figures, zip(*self.by_device().values(), strict=True)))

    def _figures(self, results: Sequence[BenchResult]) -> Figures:
        scored = {one.device: one.verdict() for one in results}
        machines: dict[str, DeviceInfo | None] = {
            one.device: one.measurement.device if one.measurement else None for one in results
        }
        return Figures(
            Path(results[0].model).name,
            results[0].size_bytes,
            {device: verdict for device, verdict in scored.items() if verdict},
            tuple(one.on_device() for one in results),
            machines,
            str(self.data.get("digest", "")),
        )

    def pairs(self) -> list[tuple[Figures, Figures | None]]:
        """Return the figures of what rules are for, each with those that it is compared with.

        Of several models the first is what the others are compared with, and held to nothing.
        """
        first, *others = self.figures()
        return [(one, first) for one in others] or [(first, None)]

    @property
    def unmet(self) -> str:
        """The sentences of the rules that are not kept."""
        return "; ".join(rule.text for rule in self.rules if not rule.kept)

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
