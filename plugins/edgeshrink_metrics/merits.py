"""Figures of merit that weigh accuracy against size."""

from __future__ import annotations

from collections.abc import Sequence

from edgeshrink.api import Merit, Row

MEGABYTE = 2**20


class Efficacy(Merit):
    """Accuracy in % over megabytes after deflate (Khan and Mandal, section 4.3 and table 5).

    Their megabytes are of 2**20 bytes: 1.55 M weights of 4 bytes are their 5.92 MB. They count
    compressed bytes for their teacher, their students and what is pruned.
    """

    name = "efficacy"

    def of(self, row: Row, among: Sequence[Row]) -> float | None:
        """Return % / MB; None without accuracy."""
        accuracy = accuracy_of(row)
        return None if accuracy is None else 100 * accuracy / (row.compressed_bytes / MEGABYTE)


class EfficacyOnDisk(Merit):
    """Accuracy in % over megabytes as the file lies on disk.

    Khan and Mandal count so where they quantize (table 5: 97.62 % over 0.023 MB is 4,244.35).
    """

    name = "efficacy_on_disk"

    def of(self, row: Row, among: Sequence[Row]) -> float | None:
        """Return % / MB; None without accuracy."""
        accuracy = accuracy_of(row)
        return None if accuracy is None else 100 * accuracy / (row.size_bytes / MEGABYTE)


class QualityOfModel(Merit):
    """Half accuracy, half saved weights (Choudhary et al. 2020, equation 15), in 0..1.

    `0.5 accuracy + 0.5 (1 - weights / most)`, `most` being the greatest number of weights among
    the models compared. As it is printed, `(1 - weights) / most`, no model could reach more than
    0.5, where the text calls 1 the best. Weights that are zero do not count, as in its table 5.
    """

    name = "quality_of_model"
    alpha, beta = 0.5, 0.5

    def of(self, row: Row, among: Sequence[Row]) -> float | None:
        """Return the quality, greater being better; None without accuracy or weights."""
        accuracy, most = accuracy_of(row), max(other.nonzeros for other in among)
        if accuracy is None or not most or not row.parameters:
            return None
        return self.alpha * accuracy + self.beta * (1 - row.nonzeros / most)


def accuracy_of(row: Row) -> float | None:
    """Return a row's share of right answers, 0..1, if that was measured."""
    return next((score.value for score in row.scores if score.metric == "top1"), None)
