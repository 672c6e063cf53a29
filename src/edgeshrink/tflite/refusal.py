"""What a program that reads .tflite files refuses of them: rows of a table, held against a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgeshrink.tflite.flat_model import FlatModel, FlatOperator

MOST_NAMED = 4  # names that a sentence lists


@dataclass(frozen=True)
class Use:
    """How a file uses an operator: what decides whether a program takes it.

    Attributes:
        operator: its name in the schema, such as `"CONV_2D"`, or the custom operator's own.
        version: of the operator; 0 where it is not known yet.
        data: the type of its first input that is computed; empty where all are stored.
        weights: the type of its largest stored input, else empty.
        by_channel: whether that has several scales.
        sparse: whether one of its inputs stores some of its values alone.
        result: the type of its first output.
        named: whether all its tensors have names.
        looped: whether it is in a loop or a branch: in another subgraph than the first.
        varying: whether an output has a size that is only known while it runs.
        custom: whether it is none of the schema's own operators.
    """

    operator: str
    version: int = 0
    data: str = ""
    weights: str = ""
    by_channel: bool = False
    sparse: bool = False
    result: str = ""
    named: bool = True
    looped: bool = False
    varying: bool = False
    custom: bool = False


@dataclass(frozen=True)
class Refusal:
    """A row: which uses of operators a program refuses; conditions that are empty hold always.

    Attributes:
        why: what is refused, such as "weights of 4 bits".
        operators: their names; a name that begins with `!` is one that is taken.
        newest: versions up to this one are taken.
        data: types of the computed input that are refused.
        weights: types of the stored input that are refused.
        results: types of the output that are refused.
        by_channel: whether those with several scales, or those with one, are refused.
        sparse: whether sparse ones alone are refused.
        named: whether those with names, or those without, are refused.
        looped: whether those in loops, or outside of them, are refused.
        varying: whether those with outputs of varying sizes, or of fixed ones, are refused.
        custom: whether those that the schema does not have, or has, are refused.
    """

    why: str
    operators: tuple[str, ...] = ()
    newest: int | None = None
    data: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    by_channel: bool | None = None
    sparse: bool | None = None
    named: bool | None = None
    looped: bool | None = None
    varying: bool | None = None
    custom: bool | None = None

    def matches(self, use: Use) -> bool:
        """Return whether a use of an operator is refused.

        Args:
            use: by a file, or by one that is planned.
        """
        taken = {name[1:] for name in self.operators if name.startswith("!")}
        wanted = set(self.operators) - {f"!{name}" for name in taken}
        return (
            use.operator not in taken
            and (not wanted or use.operator in wanted)
            and (self.newest is None or use.version > self.newest)
            and (not self.data or use.data in self.data)
            and (not self.weights or use.weights in self.weights)
            and (not self.results or use.result in self.results)
            and self.by_channel in (None, use.by_channel)
            and self.sparse in (None, use.sparse)
            and self.named in (None, use.named)
            and self.looped in (None, use.looped)
            and self.varying in (None, use.varying)
            and self.custom in (None, use.custom)
        )


def refused(uses: Iterable[Use], rows: Iterable[Refusal]) -> list[str]:
    """Return a phrase for each row that refuses something, with the operators in question.

    Args:
        uses: of operators, by a file or a plan.
        rows: of a table.

    Example:
        >>> row = Refusal("weights of 4 bits", weights=("int4",))
        >>> refused([Use("CONV_2D", weights="int4"), Use("ADD")], [row])
        ['weights of 4 bits (CONV_2D)']
    """
    uses = list(uses)
    found = []
    for row in rows:
        names = sorted({use.operator for use in uses if row.matches(use)})
        if names:
            more = ", ..." if len(names) > MOST_NAMED else ""
            found.append(f"{row.why} ({', '.join(names[:MOST_NAMED])}{more})")
    return found


def uses(model: FlatModel) -> list[Use]:
    """Return how a file uses its operators, each way once, in order.

    Args:
        model: what the file holds.
    """
    return list(dict.fromkeys(_use(model, operator) for operator in model.operators))


def _use(model: FlatModel, operator: FlatOperator) -> Use:
    inputs, outputs = model.tensors_of(operator)
    computed = [tensor for tensor in inputs if not tensor.constant]
    stored = max((t for t in inputs if t.constant), key=lambda t: t.elements, default=None)
    return Use(
        operator.name,
        operator.version,
        computed[0].dtype if computed else "",
        stored.dtype if stored else "",
        bool(stored and len(stored.scales) > 1),
        any(tensor.sparse for tensor in inputs),
        outputs[0].dtype if outputs else "",
        all(tensor.name for tensor in (*inputs, *outputs)),
        operator.subgraph > 0,
        any(-1 in tensor.shape_signature for tensor in outputs),
        operator.custom,
    )
