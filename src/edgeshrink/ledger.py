"""The ledger: one row a stage, what changed, and a plain sentence where nothing did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeshrink.measure import NORMAL_95
from edgeshrink.method import Agreement
from edgeshrink.metric import Score

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Latency:
    """How long one inference took on the device, in milliseconds."""

    device: str
    median_ms: float
    p90_ms: float
    standard_error_ms: float
    runs: int
    threads: int
    valid: bool


@dataclass(frozen=True)
class Row:
    """One stage.

    Attributes:
        step: what made it, such as `prune(sparsity=0.8)`; `base` for the model as it came.
        kind: of the file.
        file: its name within the run folder, or the base's path.
        digest: of its content.
        parameters: weights of the network; constant across conversion.
        nonzeros: those that are not zero; for a .tflite counted in the file.
        macs: multiply-accumulates of one inference.
        size_bytes: of the file, without optimizer state.
        compressed_bytes: after deflate at level 9.
        scores: on the test samples, the score of record first; empty without labels.
        p_value: that the score of record did not change from the base (McNemar's exact test
            for classes, a paired z-test otherwise).
        agreement: with the base, on test samples or synthetic inputs.
        latency: on the device; None where the stage cannot run there.
        seconds: that the step took.
        reused: the stage was there from an earlier run.
        facts: what the step measured.
        notes: sentences.
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
    latency: Latency | None = None
    seconds: float = 0.0
    reused: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> Score | None:
        """The score of record, if there are labels."""
        return self.scores[0] if self.scores else None

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
    """All rows; the first is the base, the last is the result."""

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
    def base_bytes(self) -> int:
        """What compression is compared with: 4 bytes for each parameter of the base."""
        return 4 * self.base.parameters

    def ratio(self, row: Row) -> float:
        """Return how many times smaller a row's compressed bytes are than the base's weights."""
        return self.base_bytes / row.compressed_bytes

    @property
    def base_latency(self) -> Latency | None:
        """Latency of the uncompressed model, as a float .tflite."""
        return next((row.latency for row in self.rows if row.latency), None)


def observations(row: Row, before: Row, uncompressed: Latency | None = None) -> list[str]:
    """Return a sentence for each thing that the step of `row` did not do, or did badly.

    Args:
        row: a stage.
        before: the stage that it was made from.
        uncompressed: latency of the base; the first file that is timed is compared with it.
    """
    said = []
    if row.kind == before.kind and row.compressed_bytes >= before.compressed_bytes * 0.995:
        said.append(
            f"{row.step} did not make the file smaller: {before.compressed_bytes:,} bytes "
            f"compressed before, {row.compressed_bytes:,} after"
        )
    first_that_runs = row.kind != before.kind or before.latency is None
    earlier = uncompressed if first_that_runs else before.latency
    if row.latency is None or earlier is None:
        return said
    now, then = row.latency.median_ms, earlier.median_ms
    noise = NORMAL_95 * (row.latency.standard_error_ms + earlier.standard_error_ms)
    told = f"{then:.3g} ms before, {now:.3g} ms after, on {row.latency.device}"
    slower = now > then * 1.05 and now - then > noise
    if first_that_runs and now > then * 0.95:
        word = "slower" if slower else "no faster"
        said.append(f"the file is {word} than the uncompressed float .tflite: {told}")
    elif slower:
        said.append(f"{row.step} made it slower: {told}")
    return said
