"""The few lines of Python that run a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ZEROS = "np.zeros(taken['shape'])  # put one sample here, as it is stored"


def inference_snippet(
    file: Path,
    preprocess: str,
    class_names: Sequence[str],
    *,
    read: str = "",
    functions: Sequence[str] = (),
    stateful: bool = False,
) -> str:
    """Return a short program that runs a .tflite on one sample.

    Args:
        file: the .tflite.
        preprocess: a line of Python that does to `x` what was done in training; may be empty.
        class_names: of the outputs; empty if unknown.
        read: an expression that reads a sample, batch first, from the file `sys.argv[1]`; empty
            where samples are no files.
        functions: source of what `read` calls.
        stateful: a run leaves something behind that the next one reads.
    """
    name = f"{list(class_names)}[int(y.argmax())]" if class_names else "y"
    usage = f"# usage: python {file.stem}.infer.py FILE"
    head = [usage, "from __future__ import annotations", "", "import sys", ""] if read else []
    lines = [
        "import numpy as np",
        "from ai_edge_litert.interpreter import Interpreter",
        *(f"\n\n{function.rstrip()}" for function in functions),
        "\n" if functions else "",
        f"net = Interpreter({file.name!r})",
        "net.allocate_tensors()",
        "taken, given = net.get_input_details()[0], net.get_output_details()[0]",
        f"x = {read or ZEROS}",
        *([preprocess] if preprocess else []),
        "scale, zero = taken['quantization']",
        "if scale:",
        "    most = np.iinfo(taken['dtype'])",
        "    x = np.clip(np.round(x / scale + zero), most.min, most.max)",
        "net.set_tensor(taken['index'], x.astype(taken['dtype']).reshape(taken['shape']))",
        *(["net.reset_all_variables()  # else the last sample is remembered"] if stateful else []),
        "net.invoke()",
        "y = net.get_tensor(given['index'])[0]",
        f"print({name})",
    ]
    return "\n".join((*head, *lines)) + "\n"
