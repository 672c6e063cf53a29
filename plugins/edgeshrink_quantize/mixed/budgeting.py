"""Mixed widths within a budget: allocated by what layers lose alone, corrected by real files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras

from edgeshrink.api import Context, UsageError, VerificationError, write_text
from edgeshrink_quantize.mixed.allocation import Choice, allocated, worthwhile
from edgeshrink_quantize.mixed.candidates import Candidate, Candidates, listed
from edgeshrink_quantize.stripping import SIDE_TABLE

if TYPE_CHECKING:
    from edgeshrink_quantize.options import MixedOptions

# Files that are made at most, beside those of most and of fewest bits.
ROUNDS = 6


def mixed(model: keras.Model, options: MixedOptions, activations: str, context: Context) -> bytes:
    """Return the .tflite whose layers have as many bits as the budget allows.

    Args:
        model: left as it was.
        options: the budget, and how weights are rounded.
        activations: `int8` or `float32`.
        context: data, progress, facts and notes.

    Raises:
        UsageError: no widths meet the budget of bytes, or float does.
        VerificationError: even the file of most bits loses more than the budget of points.
        ModelError: no layer has weights that fewer than 8 bits could store.
    """
    candidates = Candidates(model, options.rounding, activations, context)
    if options.bytes is not None:
        made = within(candidates, options.bytes)
    else:
        made = smallest(candidates, options.drop or 0.0)
    write_text(context.folder / SIDE_TABLE, json.dumps(made.names))
    context.companions.append(SIDE_TABLE)
    chosen = [c for n, own in candidates.choices.items() for c in own if c.bits == made.bits[n]]
    predicted = sum(choice.loss for choice in chosen)
    layers: dict[int, list[str]] = {}
    for name, bits in made.bits.items():
        layers.setdefault(bits, []).append(name)
    widths = listed(sorted(layers))
    context.facts |= {
        **made.facts,
        "quantization": f"{widths}-bit kernels, {activations} activations",
        "bits": dict(made.bits),
        "rounding": candidates.rounding,
        "divergence_predicted": predicted,
        "divergence_measured": made.moved,
    }
    told = (f"{bits} bits: {', '.join(layers[bits])}" for bits in sorted(layers))
    context.notes += [*made.notes, "; ".join(told)]
    where = "made-up inputs" if made.agreed.synthetic else "validation samples"
    context.notes.append(
        f"divergence by rounding: {predicted:.4f} predicted, the sum over layers; "
        f"{made.moved:.4f} measured with all rounded. On {where} the file loses "
        f"{made.lost:.2f} points of {candidates.loses} and agrees on {made.agreed.share:.2%}"
    )
    return made.data


def within(candidates: Candidates, budget: int) -> Candidate:
    """Return the file of least predicted divergence within a budget of bytes.

    What a file takes beside its kernels is known from the file of least divergence (mostly of 8
    bits), and corrected where a file turns out larger than was thought.

    Raises:
        UsageError: the file of fewest bits takes more, or that of float no more.
    """
    choices = candidates.choices
    best = _best(choices)
    whole = candidates.make(_bits(best))
    if whole.size <= budget:
        floats = candidates.float_bytes()
        if floats <= budget:
            least = candidates.make(_bits(_least(choices)))
            raise UsageError(
                f"a budget of {budget:,} bytes is met by the float file, which takes {floats:,}",
                hint=f"give from {least.size:,} to {floats - 1:,} bytes",
            )
        return whole
    beside = whole.size - _total(best)
    for _ in range(ROUNDS):
        chosen = allocated(choices, budget - beside)
        if chosen is None:
            break
        made = candidates.make(_bits(chosen))
        if made.size <= budget:
            return made
        beside = made.size - _total(chosen)
    least = candidates.make(_bits(_least(choices)))
    if least.size > budget:
        raise UsageError(
            f"the file takes {least.size:,} bytes at the fewest bits; the budget is {budget:,}",
            hint=f"give from {least.size:,} to {candidates.float_bytes() - 1:,} bytes",
        )
    return least


def smallest(candidates: Candidates, drop: float) -> Candidate:
    """Return the smallest file found that loses no more than `drop` points.

    The budget of bytes is bisected: each is spent with the least predicted divergence, and what
    the file loses is measured by running it.

    Raises:
        VerificationError: even the file of most bits loses more.
    """
    choices = candidates.choices
    chosen = _best(choices)
    best = candidates.make(_bits(chosen))
    if best.lost > drop:
        raise VerificationError(
            f"the file of most bits loses {best.lost:.2f} points of {candidates.loses} on "
            f"validation samples; a drop of {drop:g} is asked for",
            hint="allow a greater drop, or train with --int8 --int8-qat",
        )
    meets, fails = _total(chosen), _total(_least(choices)) - 1
    failed: list[dict[str, Choice]] = []
    rounds = 0
    while rounds < ROUNDS and meets - fails > 1:
        middle = (meets + fails) // 2
        chosen = allocated(choices, middle)
        assert chosen is not None  # a budget of the fewest bytes can always be met
        if chosen in failed:
            fails = middle
            continue
        rounds += 1
        made = candidates.make(_bits(chosen))
        if made.lost <= drop:
            best, meets = made, _total(chosen)
        else:
            failed.append(chosen)
            fails = middle
    return best


def _least(choices: Mapping[str, list[Choice]]) -> dict[str, Choice]:
    """Return each layer's choice of fewest bytes."""
    return {name: worthwhile(own)[0] for name, own in choices.items()}


def _best(choices: Mapping[str, list[Choice]]) -> dict[str, Choice]:
    """Return each layer's choice of least loss."""
    return {name: worthwhile(own)[-1] for name, own in choices.items()}


def _total(chosen: Mapping[str, Choice]) -> int:
    return sum(choice.bytes for choice in chosen.values())


def _bits(chosen: Mapping[str, Choice]) -> dict[str, int]:
    return {name: choice.bits for name, choice in chosen.items()}
