"""The program that is written beside a result."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from edgeshrink.models import inference_snippet


@pytest.mark.parametrize(("real", "stored"), [(300.0, 127), (-300.0, -128), (2.4, 2)])
def test_values_beyond_a_quantized_input_are_its_ends(real: float, stored: int) -> None:
    text = inference_snippet(Path("x.tflite"), "")
    lines = dedent(text[text.index("    if scale:") : text.index("    net.set_tensor")])
    names: dict[str, Any] = {
        "np": np,
        "x": np.full((1, 2), real),
        "scale": 1.0,
        "zero": 0,
        "taken": {"dtype": np.int8},
    }
    exec(lines, names)
    assert names["x"].astype(np.int8).tolist() == [[stored, stored]]


def test_a_sample_is_a_file_that_is_named_on_the_command_line() -> None:
    text = inference_snippet(
        Path("x.tflite"),
        "",
        read="read(file)",
        functions=("def read(file): import PIL",),
        kind="a picture",
        sample=(2, 3),
        beside="the module front beside it",
    )
    assert text.splitlines()[:3] == [
        "# usage: python x.infer.py FILE, one for each input of the model",
        "# FILE: a picture, or an .npy of one sample as it is stored, (2, 3)",
        "# needs: numpy, ai-edge-litert or tflite-runtime, Pillow for pictures, the module front "
        "beside it",
    ]
    load = "np.load(file, allow_pickle=False).reshape((1, 2, 3))"
    assert f"    if file.endswith('.npy'):\n        return {load}\n    return read(file)\n" in text
    compile(text, "x.infer.py", "exec")


def test_every_input_of_a_model_is_given_a_sample() -> None:
    text = inference_snippet(Path("x.tflite"), "x = x / 2")
    assert "    for taken, file in zip(inputs, sys.argv[1:]):"[4:] in text
    assert "    return np.load(file, allow_pickle=False).reshape(taken['shape'])\n" in text
    assert "\n    x = x / 2\n" in text
    assert "Pillow" not in text
    compile(text, "x.infer.py", "exec")
