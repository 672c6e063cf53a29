"""What is known of a model's outputs before labels are looked at, and what a user says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeVar

from edgeshrink.errors import UsageError, near
from edgeshrink.flag import Flag
from edgeshrink.models import Compiled, TensorFacts, by_output, check_module
from edgeshrink.samples.task import KINDS, Task, task_of

if TYPE_CHECKING:
    from edgeshrink.samples.task import Array

T = TypeVar("T")


@dataclass(frozen=True)
class Meaning:
    """What labels mean."""

    task: Annotated[
        str,
        Flag(
            "What the outputs answer, where the model does not tell: classification, binary, "
            "tags, regression, or reconstruction (of the input, as autoencoders do); "
            "OUTPUT=regression for one of several outputs.",
            metavar="TASK",
        ),
    ] = ""
    decode: Annotated[
        str,
        Flag(
            "Your function that makes boxes, scores and classes of a detector's outputs; they are "
            "judged by mean average precision.",
            metavar="MODULE:FUNCTION",
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse a task that does not exist.

        Raises:
            UsageError: there is none of that name, or no module of the function.
        """
        if self.decode:
            check_module(self.decode, what="--decode")
        for kind in by_output(self.task).values():
            if kind not in KINDS:
                raise UsageError(
                    f"task must be one of {', '.join(KINDS)}; received {kind!r}",
                    hint=near(kind, KINDS),
                )


@dataclass(frozen=True)
class ModelOutputs:
    """What is known of a model's outputs before labels are looked at.

    Attributes:
        facts: each output, in order; empty where that is not known.
        compiled: losses, weights and metrics of the model.
        given: what the user says of the task, as `--task` takes it.
        decode: `module:function` that makes boxes of the outputs; empty where there are none.
    """

    facts: tuple[TensorFacts, ...] = ()
    compiled: Compiled = field(default_factory=Compiled)
    given: str = ""
    decode: str = ""

    @property
    def plane(self) -> tuple[int, int] | None:
        """Height and width of the one output, where it is a mask of a size that is told."""
        shape = self.facts[0].shape if len(self.facts) == 1 else None
        if shape is None or len(shape) not in (3, 4) or None in shape[1:3]:
            return None
        _, height, width = shape[:3]
        return (height, width) if height and width else None

    def named(self, labels: Mapping[str, T]) -> dict[str, T]:
        """Return what is kept by output under the names of the outputs.

        Args:
            labels: by these names, by the keys of a dict that the model returns, or by any name
                where there is one output.
        """
        if len(self.facts) == len(labels) == 1 and "" not in labels:
            return dict(zip([self.facts[0].name], labels.values(), strict=True))
        known = {output.name for output in self.facts}
        own = {output.key: output.name for output in self.facts if output.key}
        return {name if name in known else own.get(name, name): v for name, v in labels.items()}

    def tasks(self, labels: Mapping[str, Sequence[Array]]) -> dict[str, Task]:
        """Return the task of each output, by its name, in order.

        Args:
            labels: by output, those of each part of the data; the name may be empty where there
                is one output.

        Raises:
            UsageError: a task was given for an output that there is not.
        """
        labels = self.named(labels)
        facts = self.facts or tuple(TensorFacts(name, None) for name in labels)
        said, names = by_output(self.given), [output.name for output in facts]
        for name in said if names else ():
            if name and name not in names:
                raise UsageError(f"--task: no output {name!r}", hint=near(name, names))
        alone = next(iter(labels.values()), ()) if len(facts) == len(labels) == 1 else ()
        return {
            output.name: task_of(
                output,
                labels.get(output.name, alone),
                self.compiled.objective(
                    place, len(facts), [n for n in (output.key, output.name) if n]
                ),
                said.get(output.name, said.get("", "")),
            )
            for place, output in enumerate(facts)
        }
