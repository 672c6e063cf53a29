"""How long models are timed, and what was measured of them on a device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from edgeshrink.devices.estimate import Estimate
from edgeshrink.devices.statistics import median_error, percentile
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.texts import typed

# What LiteRT runs operators with: its fast kernels, its own without those, or those that compute as
# the format's specification says.
Kernels = Literal["xnnpack", "builtin", "reference"]


@dataclass(frozen=True)
class BenchPlan:
    """How long a model is timed.

    Attributes:
        rules: the name of the rules that the other numbers come from.
        runs: fewest counted runs.
        seconds: shortest counted time; both floors must be reached.
        warmup_runs: fewest runs before counting.
        warmup_seconds: shortest time before counting.
        percentile: the latency that the rules compare by, 0..100 (50: the median).
        threads: threads of the runtime; None means the profile's default.
        profile: also ask for seconds by operator, where the runtime tells them.
        energy: also measure energy, over at least ten seconds a model, where the device tells it.
        affinity: the cores that may be used, by number; empty for all.
        cool_down: seconds of rest before models are timed.
        max_seconds: counted time after which a run ends in any case, as not valid.
    """

    rules: str = "quick"
    runs: int = 50
    seconds: float = 1.0
    warmup_runs: int = 1
    warmup_seconds: float = 0.5
    percentile: int = 50
    threads: int | None = None
    profile: bool = False
    energy: bool = False
    affinity: tuple[int, ...] = ()
    cool_down: float = 0.0
    max_seconds: float = 150.0


# smoke: shows that a file runs; under its own floors, so that its times are never valid.
# quick: the floors of TensorFlow Lite's benchmark_model (50 runs and 1 s).
# mlperf: MLPerf Mobile's single stream, 1,024 samples and 60 s, compared at the 90th percentile.
RULES: dict[str, BenchPlan] = {
    "smoke": BenchPlan("smoke", warmup_seconds=0.0, max_seconds=0.03),
    "demo": BenchPlan("demo", runs=20, seconds=2.0, warmup_seconds=0.2),
    "quick": BenchPlan(),
    "mlperf": BenchPlan(
        "mlperf", runs=1024, seconds=60.0, warmup_runs=10, percentile=90, max_seconds=600.0
    ),
}
RULES_HELP = (
    "How long models are timed: a moment (not valid), 2 s, 50 runs and 1 s, or MLPerf Mobile's "
    "1,024 samples and 60 s at p90."
)


@dataclass(frozen=True)
class DeviceInfo:
    """What a session says of the machine and the runtime it measures with.

    What is not known is empty, 0 or None.

    Attributes:
        name: of the device profile.
        cpu: the processor, as the machine names it.
        machine: the architecture, such as `aarch64`.
        cores: how many of them may be used.
        memory_bytes: memory of the machine.
        system: its operating system.
        python: version of its Python.
        runtime: what runs the models.
        runtime_version: its version, or a digest that stands for one.
        numpy: version of numpy there; empty where there is none.
        adapter: the GPU or NPU that runs the model, as its driver names it.
        emulated: why times measured here are not the device's own; empty if they are.
        extra: further facts by name, as JSON values.
    """

    name: str
    cpu: str = ""
    machine: str = ""
    cores: int = 0
    memory_bytes: int | None = None
    system: str = ""
    python: str = ""
    runtime: str = ""
    runtime_version: str = ""
    numpy: str = ""
    adapter: str = ""
    emulated: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OperatorTime:
    """Time spent in one operator, as the runtime's own profiler tells it.

    Attributes:
        name: of the operator, as the profiler spells it.
        milliseconds: spent in it during one run of the model: the mean over the profiler's own
            runs, which are watched, and are not those that the latency is told of.
        share: of the time of all operators, 0..1.
        calls: how often it was called.
        layer: the Keras layer that it came from; empty where the file does not tell.
    """

    name: str
    milliseconds: float
    share: float
    calls: int = 1
    layer: str = ""


@dataclass(frozen=True)
class ArenaUse:
    """What lies in a runtime's arena while one operator runs.

    Attributes:
        index: the operator's place in the file.
        operator: its name.
        bytes: of all tensors that are alive then.
        tensors: bytes of each by its name, or by what makes it, the largest first.
    """

    index: int
    operator: str
    bytes: int
    tensors: Mapping[str, int]


@dataclass(frozen=True)
class Energy:
    """Energy of one inference.

    Attributes:
        millijoules: of one inference, idle power included.
        idle_watts: power without work, measured just before; None where that was not told.
        seconds: how long inferences ran for it.
        source: what told it: "Intel RAPL, package", "Raspberry Pi 5 PMIC", "battery".
    """

    millijoules: float
    idle_watts: float | None
    seconds: float
    source: str


@dataclass(frozen=True)
class Summary:
    """What a tool tells of its counted runs when it does not tell each of them; in nanoseconds.

    Attributes:
        count: how many runs were counted.
        mean_ns: their mean.
        min_ns: the fastest.
        max_ns: the slowest.
        deviation_ns: their standard deviation.
        median_ns: None where the tool tells only the mean.
        p95_ns: the 95th percentile, or None where it is not told.
    """

    count: int
    mean_ns: float
    min_ns: float
    max_ns: float
    deviation_ns: float
    median_ns: float | None = None
    p95_ns: float | None = None

    def percentile(self, share: int) -> float:
        """Return a percentile in nanoseconds; nan where it was not told.

        Args:
            share: which one; 0, 50, 95 and 100 may be known.
        """
        told = {0: self.min_ns, 50: self.median_ns, 95: self.p95_ns, 100: self.max_ns}
        found = told.get(share)
        return math.nan if found is None else found


@dataclass(frozen=True)
class Measurement:
    """One model timed on one device; every counted run is kept, in nanoseconds.

    Attributes:
        model: path of the file.
        digest: SHA-256 of the .tflite, in hex.
        device: what it was timed on.
        plan: how it was timed.
        samples_ns: of each counted run; empty where the runtime tells only a summary.
        load_ms: milliseconds that loading took.
        first_ms: milliseconds of the first run.
        threads: of the runtime.
        kernels: what ran the operators, such as `xnnpack`, `builtin`, `reference` or `gpu`.
        peak_memory_bytes: the most memory that the whole process took, or None; most of it is
            the runtime, with Python where it runs in Python, and no model's.
        runtime_memory_bytes: what the process took before the model was loaded, or None.
        model_memory_bytes: what it grew by from then to its peak, or None: weights, tensors, and
            what the runtime sets up to run them.
        arena_bytes: memory for tensors, where the runtime has one arena (microcontrollers).
        arena: what lies in it while each operator runs, where the runtime tells that.
        energy: of one inference, where it was asked for and the device tells it.
        operators: time by operator, where it was asked for and the runtime tells it.
        conditions: `before` and `after`: load average, governor, frequency, temperature,
            throttling, as far as the device tells them.
        disturbed: why the times are not valid although they are many enough, as sentences.
        notes: sentences on how it was measured.
        summary: what is known of the runs where `samples_ns` is empty.
        estimate: what a compiler reckons of the device, where one stands for it.
    """

    model: str
    digest: str
    device: DeviceInfo
    plan: BenchPlan
    samples_ns: tuple[int, ...]
    load_ms: float
    first_ms: float
    threads: int
    kernels: str
    peak_memory_bytes: int | None = None
    runtime_memory_bytes: int | None = None
    model_memory_bytes: int | None = None
    arena_bytes: int | None = None
    arena: tuple[ArenaUse, ...] = ()
    energy: Energy | None = None
    operators: tuple[OperatorTime, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    disturbed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    summary: Summary | None = None
    estimate: Estimate | None = None

    @property
    def runs(self) -> int:
        """How many runs were counted."""
        return self.summary.count if self.summary else len(self.samples_ns)

    @property
    def counted_seconds(self) -> float:
        """How long the counted runs took together."""
        if self.summary:
            return self.summary.mean_ns * self.summary.count / 1e9
        return sum(self.samples_ns) / 1e9

    @property
    def median_ms(self) -> float:
        """Median latency in milliseconds; the mean where only that was told, as a note says."""
        if self.summary and self.summary.median_ns is None:
            return self.mean_ms
        return self._percentile_ms(50)

    @property
    def p90_ms(self) -> float:
        """90th percentile of latency in milliseconds; nan where it was not told."""
        return self._percentile_ms(90)

    @property
    def p99_ms(self) -> float:
        """99th percentile of latency in milliseconds; nan where it was not told."""
        return self._percentile_ms(99)

    @property
    def mean_ms(self) -> float:
        """Mean latency in milliseconds."""
        if self.summary:
            return self.summary.mean_ns / 1e6
        return sum(self.samples_ns) / len(self.samples_ns) / 1e6

    @property
    def standard_error_ms(self) -> float:
        """Standard error of the mean latency, in milliseconds; infinite for fewer than two runs."""
        count = self.runs
        if count < 2:
            return math.inf
        if self.summary:
            return self.summary.deviation_ns / math.sqrt(count) / 1e6
        mean = sum(self.samples_ns) / count
        variance = sum((s - mean) ** 2 for s in self.samples_ns) / (count - 1)
        return math.sqrt(variance / count) / 1e6

    @property
    def median_error_ms(self) -> float | None:
        """Standard error of the median, in milliseconds; None where too few runs are told of."""
        found = median_error(self.samples_ns)
        return None if found is None else found / 1e6

    @property
    def operators_basis(self) -> str:
        """Why the times by operator do not add up to the median, where they do not; else empty."""
        total = math.fsum(operator.milliseconds for operator in self.operators)
        if not total or self.device.emulated or 0.8 <= total / self.median_ms <= 1.25:
            return ""
        return (
            f"by operator: in the profiler's own runs they add up to {total:.3g} ms, "
            f"{total / self.median_ms:.2g} times the median; those are means of runs that were "
            "watched, in whole microseconds, so that each is told as its share of the median"
        )

    @property
    def of_record_ms(self) -> float:
        """The latency that the rules compare by, in milliseconds; nan where it was not told."""
        share = self.plan.percentile
        return self.median_ms if share == 50 else self._percentile_ms(share)

    def _percentile_ms(self, share: int) -> float:
        if self.summary:
            return self.summary.percentile(share) / 1e6
        return percentile(self.samples_ns, share) / 1e6

    @property
    def valid(self) -> bool:
        """Whether both floors of the rules were reached and nothing disturbed the runs."""
        if self.disturbed:
            return False
        enough = self.runs >= self.plan.runs
        return enough and self.counted_seconds >= self.plan.seconds * 0.98

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measurement:
        """Return the measurement whose fields were written as JSON.

        Args:
            values: the fields alone, as `dataclasses.asdict` gives them; `as_dict` adds statistics.

        Raises:
            EdgeshrinkError: it is no whole measurement; the message names what is wrong.
        """
        found = typed(cls, values, "the measurement")
        if not found.summary and not found.samples_ns:
            raise EdgeshrinkError("the measurement has no counted run")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return its fields and statistics as plain values; no statistics of emulated times."""
        derived = (
            *("median_ms", "p90_ms", "p99_ms", "mean_ms"),
            *("standard_error_ms", "median_error_ms", "of_record_ms"),
        )
        emulated = bool(self.device.emulated)  # then they are no times of the device
        told = {n: None if emulated else getattr(self, n) for n in derived}
        basis = self.operators_basis
        return {**asdict(self), **told, "valid": self.valid, "operators_basis": basis}


@dataclass(frozen=True)
class Failure:
    """A model that could not be measured on a device, and why.

    Attributes:
        model: path of the file.
        device: name of the device profile.
        reason: why, as a sentence.
        lost: whether the device was unreachable or lost; otherwise the work failed there.
    """

    model: str
    device: str
    reason: str
    lost: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the failure as plain JSON values."""
        return asdict(self)
