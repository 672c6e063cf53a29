"""The few lines of Python that run a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def inference_snippet(
    file: Path,
    preprocess: str,
    answer: str = "y",
    *,
    read: str = "",
    functions: Sequence[str] = (),
    kind: str = "",
    sample: Sequence[int] | None = None,
    beside: str = "",
    stateful: bool = False,
) -> str:
    """Return a short program that runs a .tflite on the files that it is given, one an input.

    Args:
        file: the .tflite.
        preprocess: a line of Python that does to `x` what was done in training; may be empty.
        answer: an expression of what `y`, the output for the sample, says; empty where there are
            several outputs, which are then told by name.
        read: an expression that reads a sample, batch first, from the file `file`; empty where
            samples are arrays alone.
        functions: source of what `read` calls.
        kind: the kind of file that `read` reads, such as "a picture".
        sample: the shape of a sample as it is stored, without the batch; None for that of the
            model's input.
        beside: what has to lie beside the program, in words; empty for nothing.
        stateful: a run leaves something behind that the next one reads.
    """
    shape = "taken['shape']" if sample is None else repr((1, *sample))
    array = f"an .npy of one sample as it is stored{f', {tuple(sample)}' if sample else ''}"
    pillow = ["Pillow for pictures"] if any("PIL" in one for one in functions) else []
    needs = ["numpy", "ai-edge-litert or tflite-runtime", *pillow, *([beside] if beside else [])]
    load = f"np.load(file, allow_pickle=False).reshape({shape})"
    reading = ["def sample(file, taken):", f"    return {load}"]
    if read:
        reading[1:] = [
            "    if file.endswith('.npy'):",
            f"        return {load}",
            f"    return {read}",
        ]
    lines = [
        f"# usage: python {file.stem}.infer.py FILE, one for each input of the model",
        f"# FILE: {f'{kind}, or ' if kind else ''}{array}",
        f"# needs: {', '.join(needs)}",
        "from __future__ import annotations",
        "",
        "import sys",
        "from pathlib import Path",
        "",
        "import numpy as np",
        "",
        "try:",
        "    from ai_edge_litert.interpreter import Interpreter",
        "except ImportError:  # as it was called before",
        "    from tflite_runtime.interpreter import Interpreter",
        *(f"\n\n{function.rstrip()}" for function in functions),
        "\n",
        *reading,
        "\n",
        f"net = Interpreter(str(Path(__file__).with_name({file.name!r})))",
        "net.allocate_tensors()",
        "inputs = net.get_input_details()",
        "if len(sys.argv) != 1 + len(inputs):",
        "    files = ' '.join(f\"FILE({taken['name']})\" for taken in inputs)",
        f"    sys.exit(f'usage: python {file.stem}.infer.py {{files}}')",
        "for taken, file in zip(inputs, sys.argv[1:]):",
        "    try:",
        "        x = sample(file, taken)",
        "    except (OSError, ValueError, EOFError, SyntaxError) as error:",
        "        sys.exit(f'{file} cannot be read: {error}')",
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
    return "\n".join(lines) + "\n"
