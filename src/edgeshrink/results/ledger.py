"""The ledger of a run: a row for each stage, with what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeshrink import words
from edgeshrink.devices import Energy, Estimate, Measurement
from edgeshrink.models import Kind
from edgeshrink.recipes import Agreement
from edgeshrink.results.metric import Score

SIGNIFICANT = 0.05
UNCOMPRESSED = "base as "  # the step of the row that holds the base as a float file begins so


@dataclass(frozen=True)
class Latency:
    """How long one inference took on a device.

    Attributes:
        device: name of its profile.
        median_ms: the median, in milliseconds.
        p90_ms: the 90th percentile, in milliseconds; nan where it was not told.
        standard_error_ms: of the mean, in milliseconds.
        runs: how many were counted.
        threads: of the runtime.
        valid: whether there were enough runs, and nothing disturbed them.
        median_error_ms: standard error of the median, in milliseconds; None where it was not told.
    """

    device: str
    median_ms: float
    p90_ms: float
    standard_error_ms: float
    runs: int
    threads: int
    valid: bool
    median_error_ms: float | None = None

    @property
    def error_ms(self) -> float:
        """How uncertain the median is, in milliseconds: its standard error, or that of the mean."""
        return self.standard_error_ms if self.median_error_ms is None else self.median_error_ms

    @classmethod
    def of(cls, timed: Measurement) -> Latency:
        """Return the latency of a measurement."""
        return cls(
            timed.device.name,
            timed.median_ms,
            timed.p90_ms,
            timed.standard_error_ms,
            timed.runs,
            timed.threads,
            timed.valid,
            timed.median_error_ms,
        )


@dataclass(frozen=True)
class OnDevice:
    """What one device said of a stage.

    Attributes:
        device: name of its profile.
        latency: None where it was not timed, or where its times are not the device's own.
        memory_bytes: the most memory that the whole process took, or None; most of it is the
            runtime's.
        model_memory_bytes: what the process grew by for the model, or None.
        arena_bytes: memory for tensors, where the runtime has one arena.
        score: of record, from the outputs of the device; None without labels.
        host_error: greatest difference from this machine's outputs, over their range; None
            where the device is this machine.
        energy: of one inference, where the device tells it.
        estimate: what a compiler reckons of the device, where one stands for it.
        emulated: why its times are not shown; empty if they are its own.
        failure: why it was not measured; empty if it was.
        lost: it was unreachable or lost.
        kernels: what ran the operators, for times and outputs; empty where that was not told.
    """

    device: str
    latency: Latency | None = None
    memory_bytes: int | None = None
    model_memory_bytes: int | None = None
    arena_bytes: int | None = None
    score: Score | None = None
    host_error: float | None = None
    energy: Energy | None = None
    emulated: str = ""
    failure: str = ""
    lost: bool = False
    estimate: Estimate | None = None
    kernels: str = ""

    @property
    def untimed(self) -> str:
        """Why there is no latency, in a word or two."""
        if self.estimate:
            return "not run"
        return "emulated" if self.emulated else "failed" if self.failure else words.NONE

    @classmethod
    def of(
        cls, timed: Measurement, score: Score | None = None, host_error: float | None = None
    ) -> OnDevice:
        """Return what a measurement tells; emulated times are none of the device's."""
        return cls(
            timed.device.name,
            None if timed.device.emulated else Latency.of(timed),
            timed.peak_memory_bytes,
            timed.model_memory_bytes,
            timed.arena_bytes,
            score,
            host_error,
            timed.energy,
            timed.device.emulated,
            estimate=timed.estimate,
            kernels=timed.kernels,
        )


@dataclass(frozen=True)
class Row:
    """What was measured of one stage: the model as it came, or what a step made.

    Attributes:
        step: what made it, such as `prune(sparsity=0.8)`; `base` for the model as it came.
        kind: of the file, a value of `Kind`.
        file: its name within the run folder, or the base's path.
        digest: SHA-256 of its content, in hex.
        parameters: weights of the network; constant across conversion.
        nonzeros: those that are not zero; for a .tflite counted in the file.
        macs: multiply-accumulates of one inference.
        size_bytes: of the file, without optimizer state.
        compressed_bytes: after deflate at level 9.
        scores: on the test samples, the score of record first; empty without labels.
        p_value: how likely the score of record differs as much from the base's by chance, 0..1
            (McNemar's exact test for classes, a paired z-test otherwise); None without labels.
        agreement: with the base, on test samples or synthetic inputs.
        on: what each device said, in the order of the request; empty where the stage is no file
            that a device runs.
        seconds: that the step took.
        reused: the stage was there from an earlier run.
        facts: what the step measured.
        notes: sentences on what the step did, and did not do.
        merits: figures of merit by name, computed among the rows of the report.
    """

    step: str
    kind: str
    file: str
    digest: str
    parameters: int
    nonzeros: int
    macs: int
    size_bytes: int
    compressed_bytes: int
    scores: tuple[Score, ...] = ()
    p_value: float | None = None
    agreement: Agreement | None = None
    on: tuple[OnDevice, ...] = ()
    seconds: float = 0.0
    reused: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    merits: Mapping[str, float] = field(default_factory=dict)

    @property
    def score(self) -> Score | None:
        """The score of record, if there are labels."""
        return self.scores[0] if self.scores else None

    @property
    def beside(self) -> tuple[Score, ...]:
        """The scores that are told beside that of record: of masks, and of further outputs."""
        return tuple(score for score in self.scores if score.beside)

    @property
    def latency(self) -> Latency | None:
        """The latency on the first device that told one."""
        return next((o.latency for o in self.on if o.latency), None)

    def at(self, device: str) -> OnDevice | None:
        """Return what the device of this name said; None if it was not asked."""
        return next((o for o in self.on if o.device == device), None)

    @property
    def sparsity(self) -> float:
        """Share of zeros among all parameters, 0..1."""
        return 1 - self.nonzeros / self.parameters if self.parameters else 0.0

    @property
    def significant(self) -> bool:
        """Whether the score differs from the base's by more than chance would."""
        return self.p_value is not None and self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class Ledger:
    """All rows of a run.

    Attributes:
        rows: in the order of the stages; the first is the base, the last is the result.
    """

    rows: tuple[Row, ...]

    @property
    def base(self) -> Row:
        """The model as it came."""
        return self.rows[0]

    @property
    def final(self) -> Row:
        """The result."""
        return self.rows[-1]

    @property
    def weight_bytes(self) -> int:
        """What files on disk are compared with: 4 bytes for each parameter of the base.

        Where the base is imitated, it is the base's own file.
        """
        return self.base.size_bytes if self.imitated else 4 * self.base.parameters

    @property
    def imitated(self) -> bool:
        """Whether the base is no net, as a forest: it has no such weights, and no float file."""
        return self.base.kind == Kind.SKLEARN

    @property
    def uncompressed(self) -> Row:
        """The base as a float file, where there is one; else the base as it came."""
        return next((row for row in self.rows if row.step.startswith(UNCOMPRESSED)), self.base)

    def on_disk(self, row: Row) -> float:
        """Return how many times smaller a row's file is, as it lies on disk, than `weight_bytes`.

        Args:
            row: one of `rows`.
        """
        return self.weight_bytes / row.size_bytes

    def download(self, row: Row) -> float:
        """Return how many times smaller a row's file is than the float file, both deflated.

        Args:
            row: one of `rows`.
        """
        return self.uncompressed.compressed_bytes / row.compressed_bytes

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of the devices that were asked."""
        return next((tuple(o.device for o in row.on) for row in self.rows if row.on), ())

    def base_latency(self, device: str) -> Latency | None:
        """Return the first latency on a device: of the uncompressed model as a float .tflite.

        Args:
            device: name of its profile.

        Returns:
            None where no stage was timed there, and where the base is imitated.
        """
        said = (row.at(device) for row in self.rows if not self.imitated)
        return next((o.latency for o in said if o and o.latency), None)

    @property
    def lost(self) -> bool:
        """Whether a device was unreachable or lost."""
        return any(o.lost for row in self.rows for o in row.on)
