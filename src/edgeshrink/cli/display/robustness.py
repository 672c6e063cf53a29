"""Robustness, as it is asked for and as it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from edgeshrink import words
from edgeshrink.cli.display.tables import Column, show, write
from edgeshrink.errors import UsageError
from edgeshrink.flag import Flag, build

if TYPE_CHECKING:
    from rich.console import Console

    from edgeshrink.results import Robustness as Scores


@dataclass(frozen=True)
class Robustness:
    """Robustness."""

    robustness: Annotated[
        bool,
        Flag(
            "Also score on perturbed test images, before and after: noise, blur, brightness, "
            "rotation, shift, occlusion, JPEG."
        ),
    ] = False
    robustness_samples: Annotated[int, Flag("Test samples that are perturbed, at most.", min=1)] = (
        1000
    )


def asked(given: Mapping[str, Any], command: str) -> Robustness:
    """Return what was asked for.

    Raises:
        UsageError: a number is no number, or says nothing since robustness is not measured.
    """
    options = build(Robustness, given, command)
    if "robustness_samples" in given and not options.robustness:
        raise UsageError("--robustness-samples goes with --robustness")
    return options


def show_robustness(found: Scores, *, to: Console) -> None:
    """Print the scores under each perturbation, averaged over severities."""
    means = found.means()
    pairs = means.values()
    marks = [" *" if pair.significant else "" for pair in pairs]
    changes = [words.change_of(found.metric, pair.change) for pair in pairs]
    show(
        Column("perturbation", list(means)),
        [
            Column(found.metric, [words.value_of(found.metric, pair.before) for pair in pairs]),
            Column("after", [words.value_of(found.metric, pair.after) for pair in pairs]),
            Column("change", [c + mark for c, mark in zip(changes, marks, strict=True)]),
        ],
        to=to,
    )
    ranges = ", ".join(f"{low:g} to {high:g}" for low, high in found.ranges.values())
    write(
        f"mean over five severities, on {found.samples:,} test samples of values {ranges}, "
        "perturbed before preprocessing; *: more than chance would change it",
        to=to,
        lead="– ",
    )
