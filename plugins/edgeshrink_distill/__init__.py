"""Distillation: a small student learns what a teacher answers; the losses are in nn/learning."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Context, Method, Need, Phase, Plan, Training, UsageError, hookimpl
from edgeshrink_distill.options import Options
from edgeshrink_distill.spec import Spec

if TYPE_CHECKING:
    import keras


class Distill(Method):
    """Teach a smaller model, the student, what this one answers, and go on with the student."""

    name, title, phase = "distill", "Distillation", Phase.DISTILL
    Options = Options
    data = Need.REQUIRED
    training = Training(teacher="original", temperature=2.0, alpha=0.1, shift=0)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of students and teachers."""
        found = [path for spec in self.options.spelled for path in spec.files]
        return (*found, *map(Path, self.options.teachers))

    @property
    def trainings(self) -> int:
        """How many times a student or an assistant is trained."""
        options = self.options
        trials = max(1, len(options.temperature)) * max(1, len(options.alpha))
        return trials * (1 + len(options.candidates)) * (1 + len(options.assistant))

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse what cannot be learned from, and files that are not there.

        Raises:
            UsageError: there are no training samples, or no labels where these alone are learned;
                or a file is missing.
            ModelError: a file's model takes or gives something else than this one.
        """
        if plan.data is None or plan.data.train is None:
            raise UsageError("distillation needs training samples", hint="pass --data")
        options = self.options
        for spec in options.spelled:
            spec.check(plan.base)
        for text in options.teachers:
            Spec(file=text).check(plan.base)
        if not plan.data.labelled:
            if self.tuning.teacher == "none":
                raise UsageError(
                    "without a teacher the student learns labels, and the data has none",
                    hint="drop --distill-teacher none",
                )
            if any(options.alpha) or self.tuning.alpha:
                raise UsageError(
                    "alpha is the share of labels in the loss, and the data has none",
                    hint="--distill-alpha 0, or data with labels",
                )
            yield "the data has no labels: the student learns the teacher's answers alone"
        if options.student.startswith(("width", "depth")) and options.init == "random":
            yield "the student starts from random weights: give it epochs enough"

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the student."""
        from edgeshrink_distill.distilling import distill

        return distill(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Distill]
