"""The table of commands: what each is for, and what is known of it before it is imported."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A command, as far as it is known without importing it.

    Attributes:
        help: what it is for.
        worker: it may import TensorFlow, and so works in a process of its own.
        resumes: interrupted, the same command goes on from the last whole step.
    """

    help: str
    worker: bool = False
    resumes: bool = False


COMMANDS = {
    "compress": Entry(
        "Make a model smaller: prune, quantize, convert, run, measure.", worker=True, resumes=True
    ),
    "bench": Entry("Time models on devices, and score them there.", worker=True),
    "search": Entry(
        "Find the recipe that is as small and fast as it gets, for what may be lost.",
        worker=True,
        resumes=True,
    ),
    "study": Entry(
        "Run a grid of models and recipes, and set it beside published values.",
        worker=True,
        resumes=True,
    ),
    "inspect": Entry("Show what is in a model, layer by layer.", worker=True),
    "sensitivity": Entry(
        "Show what each layer bears: zeros, lower rank, fewer channels, fewer bits.", worker=True
    ),
    "pack": Entry("Code a .tflite near its entropy, as an .esz file."),
    "unpack": Entry("Give back the .tflite of an .esz file, to the last bit."),
    "export": Entry("Write a .tflite as source: C for a microcontroller."),
    "report": Entry("Print the report of a run again."),
    "check": Entry("Hold a report against budgets, for continuous integration."),
    "compare": Entry("Put the results of several runs side by side."),
    "devices": Entry("List devices, add one, set it up, test it."),
    "clean": Entry("Show what is kept to go on from, with its size, and remove it."),
    "methods": Entry("List methods, or show the options of one."),
    "plugins": Entry("List plugins: versions, load times, errors."),
    "doctor": Entry("Check what is installed, and say what is missing."),
}


def works_apart(arguments: list[str]) -> bool:
    """Return whether a command line is done in a process of its own; help never is."""
    entry = COMMANDS.get(arguments[0]) if arguments else None
    return entry is not None and entry.worker and "--help" not in arguments


def resumes(arguments: list[str]) -> bool:
    """Return whether the same command line, interrupted, goes on from the last whole step."""
    return bool(arguments) and arguments[0] in COMMANDS and COMMANDS[arguments[0]].resumes
