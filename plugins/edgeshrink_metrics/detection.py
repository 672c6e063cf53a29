"""The metric of detectors: COCO's mean average precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.api import Metric

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink_metrics.coco import Matched


class MeanAveragePrecision(Metric):
    """COCO's mean average precision, over classes and over IoU from 0.50 to 0.95.

    It is pycocotools' own, and no mean over samples: intervals and paired tests are by drawing
    samples again, a thousand times.
    """

    name, title = "map", "mAP"
    tasks = ("boxes",)
    proportion = True
    of_made = True
    chance = False
    requires = ("pycocotools",)

    @property
    def counted(self) -> bool:
        """Whether a sample's value is 0 or 1: never."""
        return False

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the value that each sample stands for, `(samples,)`.

        Args:
            outputs: boxes `(samples, most, 6)`: x0, y0, x1, y1, score and class; nan is padding.
            labels: boxes `(samples, most, 5)`: x0, y0, x1, y1 and class; likewise.
        """
        return self._matched(outputs, labels).influences

    def resampled(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
        """Return the value of as many samples, drawn with replacement, `(draws,)`."""
        return self._matched(outputs, labels).draws

    def _matched(self, outputs: np.ndarray, labels: np.ndarray) -> Matched:
        from edgeshrink_metrics.coco import matched

        return matched(outputs, labels)
