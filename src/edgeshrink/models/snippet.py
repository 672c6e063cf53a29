"""The few lines of Python that run a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def inference_snippet(
    file: Path, preprocess: str, class_names: Sequence[str], *, stateful: bool = False
) -> str:
    """Return a short program that runs a .tflite on one sample.

    Args:
        file: the .tflite.
        preprocess: a line of Python that does to `x` what was done in training; may be empty.
        class_names: of the outputs; empty if unknown.
        stateful: a run leaves something behind that the next one reads.
    """
    name = f"{list(class_names)}[int(y.argmax())]" if class_names else "y"
    lines = [
        "import numpy as np",
        "from ai_edge_litert.interpreter import Interpreter",
        "",
        f"net = Interpreter({file.name!r})",
        "net.allocate_tensors()",
        "taken, given = net.get_input_details()[0], net.get_output_details()[0]",
        "x = np.zeros(taken['shape'])  # put one sample here, as it is stored",
        preprocess,
        "scale, zero = taken['quantization']",
        "x = np.round(x / scale + zero) if scale else x",
        "net.set_tensor(taken['index'], x.astype(taken['dtype']).reshape(taken['shape']))",
        "net.reset_all_variables()  # else the last sample is remembered" if stateful else "",
        "net.invoke()",
        "y = net.get_tensor(given['index'])[0]",
        f"print({name})",
    ]
    return "\n".join(line for place, line in enumerate(lines) if line or place == 2) + "\n"
