"""The user's own function that makes boxes of what a detector puts out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError, UsageError
from edgeshrink.models import import_object
from edgeshrink.samples.truth.boxes import ORDER, listed

if TYPE_CHECKING:
    import numpy as np

    Boxes = np.ndarray[Any, np.dtype[np.float64]]

BATCH = 64
MOST = 100  # of a class in a sample that count, those of the highest scores: COCO's limit
KEPT = 3  # results that are asked for again
KEYS = ("boxes", "scores", "classes")
RETURNS = "return boxes (x0, y0, x1, y1), scores and classes, each with an entry for each sample"


class Decoder:
    """Makes boxes of a model's outputs, a batch at a time.

    Args:
        spec: `module:function`. The function is called with what the model puts out for a batch:
            an array, or a dict of arrays by output where there are several. It returns boxes,
            scores and classes, or a dict of them by these names: for each sample `(k, 4)`, `(k,)`
            and `(k,)`. Boxes of class -1 are left out.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._kept: dict[str, Boxes] = {}

    @cached_property
    def function(self) -> Any:
        """The function.

        Raises:
            UsageError: there is none of this name.
        """
        found = import_object(self.spec, what="--decode")
        if not callable(found):
            raise UsageError(
                f"--decode {self.spec} must name a function; it is a {type(found).__name__}"
            )
        return found

    def __call__(self, outputs: Mapping[str, np.ndarray[Any, Any]]) -> Boxes:
        """Return what is found in each sample, `(samples, most, 6)`; rows of nan are padding.

        A row is x0, y0, x1, y1, score and class, higher scores first. Of a class in a sample no
        more than 100 are kept, which is how many COCO's metric looks at.

        Args:
            outputs: `(samples, ...)` by the names of the model's outputs, in order.

        Raises:
            DataError: the function fails, or returns what are no boxes.
        """
        import numpy as np

        digest = hashlib.sha256()
        for name, values in outputs.items():
            digest.update(f"{name} {values.dtype} {values.shape}\0".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        key = digest.hexdigest()
        if key not in self._kept:
            count = len(next(iter(outputs.values())))
            found: list[Boxes] = []
            for start in range(0, count, BATCH):
                batch = {name: v[start : start + BATCH] for name, v in outputs.items()}
                found += self._batch(batch, start)
            most = max((len(one) for one in found), default=0)
            padded = np.full((count, max(1, most), 6), np.nan)
            for place, one in enumerate(found):
                padded[place, : len(one)] = one
            self._kept = dict([*self._kept.items(), (key, padded)][-KEPT:])
        return self._kept[key]

    def _batch(self, outputs: Mapping[str, Any], start: int) -> list[Boxes]:
        count = len(next(iter(outputs.values())))
        given = next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
        told = ", ".join(f"{name} {v.shape}" for name, v in outputs.items())
        try:
            made = self.function(given)
        except Exception as error:  # the user's own code may raise anything
            raise DataError(
                f"--decode {self.spec} raised {type(error).__name__}: {error}",
                hint=f"it was given {told}",
            ) from error
        if isinstance(made, Mapping):
            if missing := [key for key in KEYS if key not in made]:
                raise self._wrong(
                    f"received a dict without {missing[0]!r}, of {', '.join(map(str, made))}"
                )
            made = [made[key] for key in KEYS]
        if not isinstance(made, Sequence) or len(made) != len(KEYS):
            size = f" of {len(made)}" if isinstance(made, Sequence) else ""
            raise self._wrong(f"received a {type(made).__name__}{size}")
        for key, one in zip(KEYS, made, strict=True):
            if not hasattr(one, "__len__") or len(one) != count:
                size = f"{len(one)}" if hasattr(one, "__len__") else f"a {type(one).__name__}"
                raise self._wrong(f"received {key} of {size}, for {count} samples")
        return [
            self._sample(boxes, scores, classes, start + place)
            for place, (boxes, scores, classes) in enumerate(zip(*made, strict=True))
        ]

    def _sample(self, boxes: Any, scores: Any, classes: Any, sample: int) -> Boxes:
        """Return the boxes of a sample, `(k, 6)`, those of higher scores first."""
        import numpy as np

        try:
            one, score, number = (np.asarray(v, "float64") for v in (boxes, scores, classes))
        except (TypeError, ValueError) as error:
            raise self._wrong(f"those of sample {sample} are no numbers: {error}") from error
        one = one.reshape(0, 4) if one.size == 0 else one
        score, number = score.reshape(-1), number.reshape(-1)
        if one.ndim != 2 or one.shape[1] != 4 or not len(one) == len(score) == len(number):
            raise self._wrong(
                f"those of sample {sample} are boxes {one.shape}, {len(score)} scores and "
                f"{len(number)} classes"
            )
        there = number != -1
        found = np.concatenate([one, score[:, None], number[:, None]], axis=1)[there]
        for wrong, told in (
            (~np.isfinite(found[:, 4]), "scores are numbers"),
            (~np.isfinite(found[:, :4]).all(axis=1), "boxes are finite numbers"),
            (
                (found[:, 5] < 0) | (found[:, 5] != np.rint(found[:, 5])),
                "classes are whole numbers",
            ),
            ((found[:, 2] < found[:, 0]) | (found[:, 3] < found[:, 1]), ORDER),
        ):
            if wrong.any():
                box = found[int(wrong.argmax())]
                raise DataError(
                    f"{told}; --decode {self.spec} made {listed(box[:4])} with score {box[4]:g} "
                    f"and class {box[5]:g} of sample {sample}",
                    hint="boxes of a centre and a size, or with y in front, are to be turned"
                    if told is ORDER
                    else "class -1 is for boxes that do not count",
                )
        found = found[np.argsort(-found[:, 4], kind="stable")]
        keep = np.zeros(len(found), bool)
        for one_class in np.unique(found[:, 5]):
            keep[np.flatnonzero(found[:, 5] == one_class)[:MOST]] = True
        kept: Boxes = found[keep]
        return kept

    def _wrong(self, received: str) -> DataError:
        return DataError(f"--decode {self.spec} must {RETURNS}; {received}")
