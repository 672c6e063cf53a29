"""What distillation is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag
from edgeshrink_distill.spec import Spec

TOLERANCE = 0.01


@dataclass(frozen=True)
class Options:
    """Who is taught, by whom, and what is followed."""

    student: Annotated[
        str,
        Flag(
            "The student: a .keras file, module:function, or made from the teacher by "
            "`width=0.5`, `depth=0.5` or `width=0.5,depth=0.5` (the share that is kept).",
            metavar="STUDENT",
        ),
    ]
    candidates: Annotated[
        tuple[str, ...],
        Flag("More students to try, as STUDENT; the smallest that scores well enough is kept."),
    ] = ()
    tolerance: Annotated[
        float,
        Flag(
            "With candidates: what the student that is kept may score under the best of them.",
            min=0,
        ),
    ] = TOLERANCE
    init: Annotated[
        Literal["strongest", "random"],
        Flag(
            "Where a student made from the teacher starts: its strongest channels and blocks, or "
            "random weights."
        ),
    ] = "strongest"
    temperature: Annotated[
        tuple[float, ...],
        Flag("That logits are divided by (default: 2); of several the best is kept.", above=0),
    ] = ()
    alpha: Annotated[
        tuple[float, ...],
        Flag(
            "Share of labels in the loss (default: 0.1); of several the best is kept.",
            min=0,
            max=1,
        ),
    ] = ()
    match: Annotated[
        Literal["zscore", "kl", "mse"] | None,
        Flag(
            "Follow the teacher's softened probabilities, of logits that are made one size or as "
            "they are, or its logits (default: zscore; kl where no labels are learned beside, "
            "since they alone would tell the student how sure to be)."
        ),
    ] = None
    noise: Annotated[
        float, Flag("Standard deviation of a random factor on the teacher's logits.", min=0)
    ] = 0.0
    hints: Annotated[
        tuple[str, ...],
        Flag(
            "Inner layers that follow the teacher's too: `auto`, or STUDENT:TEACHER by name; of "
            "assistants only `auto` is followed."
        ),
    ] = ()
    hint_kind: Annotated[
        Literal["features", "attention"],
        Flag("Follow features through a regressor (FitNets), or where they are strong."),
    ] = "features"
    hint_weight: Annotated[float, Flag("Of hints in the loss.", above=0)] = 0.1
    assistant: Annotated[
        tuple[str, ...],
        Flag(
            "Taught before the student and teaching it, the largest first: `auto`, or as STUDENT."
        ),
    ] = ()
    online: Annotated[
        int,
        Flag("Branches of the student that share its first half and teach each other.", min=1),
    ] = 1
    teachers: Annotated[
        tuple[str, ...],
        Flag("More teachers, .keras files; what they answer is averaged with the model's own."),
    ] = ()
    weights: Annotated[
        tuple[float, ...],
        Flag("Of the model itself and of each of --distill-teachers (default: equal).", above=0),
    ] = ()
    preprocess: Annotated[
        str,
        Flag(
            "What the student's file wants done with what the model is given, as `scale=1/255`; "
            "it becomes a layer."
        ),
    ] = "none"
    teachers_preprocess: Annotated[
        tuple[str, ...],
        Flag("The same for --distill-teachers: one for all, or one for each."),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        students = self.spelled[: 1 + len(self.candidates)]
        if self.weights and not self.teachers:
            raise ValueError("weights are of several teachers; received no --distill-teachers")
        if self.weights and len(self.weights) != 1 + len(self.teachers):
            raise ValueError(
                f"weights must be {1 + len(self.teachers)}, of the model and of each teacher; "
                f"received {len(self.weights)}"
            )
        if len(self.teachers_preprocess) not in (0, 1, len(self.teachers)):
            raise ValueError(
                f"teachers_preprocess must be one for all or {len(self.teachers)}; "
                f"received {len(self.teachers_preprocess)}"
            )
        for hint in self.hints:
            if hint != "auto" and len([part for part in hint.split(":") if part]) != 2:
                raise ValueError(f"a hint must be auto or STUDENT:TEACHER; received {hint!r}")
        if self.tolerance != TOLERANCE and not self.candidates:
            raise ValueError(
                "the tolerance is between several students; received no --distill-candidates"
            )
        if self.noise and self.match == "zscore":
            raise ValueError("noise makes logits larger and smaller, to which zscore is blind")
        if self.online > 1 and self.hints:
            raise ValueError("hints are of one student; received hints and online branches")
        if self.preprocess != "none" and all(s.file is None for s in students):
            raise ValueError("preprocess is of a student's file; this one is made otherwise")

    @property
    def spelled(self) -> tuple[Spec, ...]:
        """The students, and the assistants that do not follow from them by themselves.

        Raises:
            ValueError: one of them cannot be read.
        """
        named = (text for text in self.assistant if text != "auto")
        return tuple(map(Spec.parse, (self.student, *self.candidates, *named)))
