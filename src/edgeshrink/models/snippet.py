"""The few lines of Python that run a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ZEROS = "np.zeros(taken['shape'])  # put a sample for taken['name'] here, as it is stored"


def inference_snippet(
    file: Path,
    preprocess: str,
    answer: str = "y",
    *,
    read: str = "",
    functions: Sequence[str] = (),
    stateful: bool = False,
) -> str:
    """Return a short program that runs a .tflite on one sample.

    Args:
        file: the .tflite.
        preprocess: a line of Python that does to `x` what was done in training; may be empty.
        answer: an expression of what `y`, the output for the sample, says; empty where there are
            several outputs, which are then told by name.
        read: an expression that reads a sample, batch first, from the file `sys.argv[1]`; empty
            where samples are no files.
        functions: source of what `read` calls.
        stateful: a run leaves something behind that the next one reads.
    """
    usage = f"# usage: python {file.stem}.infer.py FILE"
    head = [usage, "from __future__ import annotations", "", "import sys", ""] if read else []
    asks = ["if len(sys.argv) != 2:", f"    sys.exit({usage[2:]!r})"] if read else []
    lines = [
        "import numpy as np",
        "from ai_edge_litert.interpreter import Interpreter",
        *(f"\n\n{function.rstrip()}" for function in functions),
        "\n" if functions else "",
        *asks,
        f"net = Interpreter({file.name!r})",
        "net.allocate_tensors()",
        "for taken in net.get_input_details():",
        f"    x = {read or ZEROS}",
        *([f"    {preprocess}"] if preprocess else []),
        "    scale, zero = taken['quantization']",
        "    if scale:",
        "        most = np.iinfo(taken['dtype'])",
        "        x = np.clip(np.round(x / scale + zero), most.min, most.max)",
        "    net.set_tensor(taken['index'], x.astype(taken['dtype']).reshape(taken['shape']))",
        *(["net.reset_all_variables()  # else the last sample is remembered"] if stateful else []),
        "net.invoke()",
        "for given in net.get_output_details():",
        "    y = net.get_tensor(given['index'])[0]",
        "    scale, zero = given['quantization']",
        "    y = (y.astype(np.float32) - zero) * scale if scale else y",
        f"    print({answer})" if answer else "    print(given['name'], y)",
    ]
    return "\n".join((*head, *lines)) + "\n"
