"""What is measured, how long, and what the numbers say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class BenchPlan:
    """How long a model is timed.

    Attributes:
        rules: the name of the rules that the other numbers come from.
        runs: fewest counted runs.
        seconds: shortest counted time; both floors must be reached.
        warmup_runs: fewest runs before counting.
        warmup_seconds: shortest time before counting.
        percentile: the latency that the rules compare by (50: the median).
        threads: threads of the runtime; None means the profile's default.
        delegate: `"xnnpack"` (the runtime's default) or `"none"`.
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
    delegate: str = "xnnpack"
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

    Attributes:
        adapter: the GPU or NPU that runs the model, as its driver names it.
        emulated: why times measured here are not the device's own; empty if they are.
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
        layer: the Keras layer that it came from; empty where the file does not tell.
    """

    name: str
    milliseconds: float
    share: float
    calls: int = 1
    layer: str = ""


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
class Measurement:
    """One model timed on one device; every counted run is kept, in nanoseconds.

    Attributes:
        arena_bytes: memory for tensors, where the runtime has one arena (microcontrollers).
        conditions: `before` and `after`: load average, governor, frequency, temperature,
            throttling, as far as the device tells them.
        disturbed: why the times are not valid although they are many enough, as sentences.
    """

    model: str
    digest: str
    device: DeviceInfo
    plan: BenchPlan
    samples_ns: tuple[int, ...]
    load_ms: float
    first_ms: float
    threads: int
    delegate: str
    peak_memory_bytes: int | None = None
    runtime_memory_bytes: int | None = None
    arena_bytes: int | None = None
    energy: Energy | None = None
    operators: tuple[OperatorTime, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    disturbed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def median_ms(self) -> float:
        """Median latency in milliseconds."""
        return percentile(self.samples_ns, 50) / 1e6

    @property
    def p90_ms(self) -> float:
        """90th percentile of latency in milliseconds."""
        return percentile(self.samples_ns, 90) / 1e6

    @property
    def p99_ms(self) -> float:
        """99th percentile of latency in milliseconds."""
        return percentile(self.samples_ns, 99) / 1e6

    @property
    def mean_ms(self) -> float:
        """Mean latency in milliseconds."""
        return sum(self.samples_ns) / len(self.samples_ns) / 1e6

    @property
    def standard_error_ms(self) -> float:
        """Standard error of the mean latency, in milliseconds."""
        count = len(self.samples_ns)
        if count < 2:
            return math.inf
        mean = sum(self.samples_ns) / count
        variance = sum((s - mean) ** 2 for s in self.samples_ns) / (count - 1)
        return math.sqrt(variance / count) / 1e6

    @property
    def of_record_ms(self) -> float:
        """The latency that the rules compare by, in milliseconds."""
        return percentile(self.samples_ns, self.plan.percentile) / 1e6

    @property
    def valid(self) -> bool:
        """Whether both floors of the rules were reached and nothing disturbed the runs."""
        if self.disturbed:
            return False
        enough = len(self.samples_ns) >= self.plan.runs
        return enough and sum(self.samples_ns) >= self.plan.seconds * 1e9 * 0.98

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as plain JSON values, statistics included."""
        derived = ("median_ms", "p90_ms", "p99_ms", "mean_ms", "standard_error_ms", "of_record_ms")
        emulated = bool(self.device.emulated)  # then they are no times of the device
        told = {n: None if emulated else getattr(self, n) for n in derived}
        return {**asdict(self), **told, "valid": self.valid}


@dataclass(frozen=True)
class Failure:
    """A model that could not be measured on a device, and why.

    Attributes:
        lost: the device was unreachable or lost, rather than the work failed there.
    """

    model: str
    device: str
    reason: str
    lost: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the failure as plain JSON values."""
        return asdict(self)


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the `share`-th percentile (0..100), interpolated between neighbours.

    Example:
        >>> percentile([4, 1, 3, 2], 50)
        2.5
    """
    if not samples:
        raise ValueError("a percentile needs at least one sample")
    ordered = sorted(samples)
    place = (len(ordered) - 1) * share / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927), within 0..1.

    Example:
        >>> low, high = wilson(90, 100)
        >>> round(low, 3), round(high, 3)
        (0.826, 0.945)
    """
    if count <= 0:
        return 0.0, 1.0
    share, z2 = successes / count, NORMAL_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    half = NORMAL_95 * spread / (1 + z2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(lost: int, gained: int) -> float:
    """Return the exact two-sided p-value that two paired classifiers err equally often.

    The binomial form of McNemar's test (1947) on the discordant pairs.

    Args:
        lost: samples that only the first classifier got right.
        gained: samples that only the second got right.

    Example:
        >>> round(mcnemar(10, 1), 4)
        0.0117
    """
    count, fewest = lost + gained, min(lost, gained)
    if count == 0:
        return 1.0
    log_half = count * math.log(0.5)
    tail = sum(
        math.exp(
            math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) + log_half
        )
        for k in range(fewest + 1)
    )
    return min(1.0, 2 * tail)
