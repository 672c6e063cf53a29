"""How a student is spelled."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeshrink.api import ModelError, ModelFacts, UsageError, check_module, facts

_MADE = re.compile(r"(width|depth)=([0-9.eE+-]+)")
Shape = tuple[int | None, ...]
HINT = "as in student.keras, module:function, width=0.5, depth=0.5 or width=0.5,depth=0.5"


@dataclass(frozen=True)
class Spec:
    """Where a student comes from.

    Attributes:
        file: a .keras file, or None.
        function: `module:function` that returns a Keras model, or None.
        width: the share of channels that is kept of the teacher, above 0 and at most 1.
        depth: the share of residual branches and layers that can be left out, which stays.
    """

    file: str | None = None
    function: str | None = None
    width: float = 1.0
    depth: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Return what a text spells.

        Raises:
            ValueError: it cannot be read, or a share is out of range.
        """
        parts = re.split(r"[,;+]", text.replace(" ", ""))
        found = [_MADE.fullmatch(part) for part in parts]
        if any(found):
            shares: dict[str, float] = {}
            for part, match in zip(parts, found, strict=True):
                if match is None or match[1] in shares:
                    raise ValueError(
                        f"student {text!r} cannot be read at {part!r}: write it {HINT}"
                    )
                shares[match[1]] = _share(match[1], match[2])
            if set(shares.values()) == {1.0}:
                raise ValueError(
                    f"a student of all of the teacher is no student; received {text!r}"
                )
            return cls(**shares)
        if text.endswith(".keras"):
            return cls(file=text)
        module, colon, name = text.partition(":")
        if colon and all(part.isidentifier() for part in [*module.split("."), name]):
            if module.split(".")[0] in sys.stdlib_module_names:
                raise ValueError(f"a student is not in Python's own module {module!r}")
            return cls(function=text)
        raise ValueError(f"student {text!r} cannot be read: write it {HINT}")

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that decide what the student is."""
        if self.file is not None:
            return (Path(self.file),)
        if self.function is not None:
            module = self.function.partition(":")[0].replace(".", "/")
            return tuple(
                p for p in (Path(f"{module}.py"), Path(module, "__init__.py")) if p.exists()
            )
        return ()

    def check(self, teacher: ModelFacts) -> None:
        """Look whether a file or module is there, and whether a file's model fits its teacher.

        Raises:
            UsageError: it is not there.
            ModelError: the file is no model, or takes or gives something else than its teacher.
        """
        if self.function is not None:
            check_module(self.function, what="student")
        if self.file is None:
            return
        if not Path(self.file).is_file():
            raise UsageError(f"no model file {self.file!r}", hint=HINT)
        own = facts(Path(self.file))
        for what, ours, theirs in (
            ("inputs", own.inputs, teacher.inputs),
            ("outputs", own.outputs, teacher.outputs),
        ):
            if len(ours) == len(theirs) == 1 and ours[0].shape and theirs[0].shape:
                # how many dimensions an output has is not always told, its last one is
                shown = slice(1, None) if what == "inputs" else slice(-1, None)
                check_alike(self.file, [ours[0].shape[shown]], [theirs[0].shape[shown]], what)


def check_alike(who: str, own: Sequence[Shape], theirs: Sequence[Shape], what: str) -> None:
    """Check that inputs or outputs of a model are as those of the one it learns from or beside.

    Args:
        who: the model, in messages.
        own: its shapes; None fits any size.
        theirs: those that are wanted.
        what: `inputs` or `outputs`.

    Raises:
        ModelError: they differ in number or shape.
    """
    same = len(own) == len(theirs) and all(
        len(one) == len(other)
        and all(a == b or None in (a, b) for a, b in zip(one, other, strict=True))
        for one, other in zip(own, theirs, strict=True)
    )
    if not same:
        said = ", ".join(map(str, own)), ", ".join(map(str, theirs))
        raise ModelError(
            f"{who} and the model to compress differ in their {what}: {said[0]} and {said[1]}",
            hint="they must take and give the same; only what is between may differ",
        )


def _share(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be above 0 and at most 1; received {text!r}")
    return value
