"""The program beside a result, which reads, prepares and answers a sample as it was scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.models import Artifact, inference_snippet

if TYPE_CHECKING:
    from edgeshrink.samples import Dataset, Task


def program(final: Artifact, out: Path, data: Dataset | None, tasks: Sequence[Task]) -> str:
    """Return the source of the program that runs a result; empty where LiteRT does not run it.

    Args:
        final: the result, a .tflite.
        out: where it will lie.
        data: that it was made with, if any.
        tasks: of its outputs.
    """
    from edgeshrink.tflite import encoded_tensors, read_model

    flat = read_model(final.path.read_bytes())
    if encoded_tensors(flat):
        return ""
    names = data.class_names if data else ()
    read, functions, kind = data.python_snippet() if data else ("", (), "")
    line, beside = (data.preprocess.python_snippet(), data.preprocess.beside) if data else ("", "")
    if final.takes_stored:
        line, beside = "x = np.rint(x)" if kind == "a picture" else "", ""
    return inference_snippet(
        out,
        line,
        tasks[0].python_snippet(names) if len(tasks) == 1 else "",
        read=read,
        functions=functions,
        kind=kind,
        sample=data.sample_shape if data else None,
        beside=beside,
        stateful=flat.stateful,
    )
