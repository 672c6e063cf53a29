"""Every method and precision on models that Keras itself quantized, in each of its modes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink as package
from edgeshrink.nn.loading import load_model, load_stored
from edgeshrink.tflite.reader import constant_values, read_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method"),
]
MODES = ("int8", "int4", "float8")
STEPS: dict[str, dict[str, Any]] = {
    "float": {},
    "dynamic": {"dynamic": True},
    "int8": {"int8": True},
    "fp16": {"fp16": True},
    "int16x8": {"int16x8": True},
    "int4": {"int4": True},
    "int2": {"int2": True},
    "mixed": {"mixed_bytes": 12_000},
    "prune": {"prune": 0.5},
    "cluster": {"cluster": 16, "int8": True},
    "shrink": {"shrink": 0.3},
    "merge_neurons": {"merge_neurons": 0.2},
    "lowrank": {"lowrank": 0.3},
    "pack": {"int8": True, "pack": True},
}
LOSSES = {"int2": 0.3, "merge_neurons": 0.3}  # two bits after one epoch; a step without data


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory, digits_model: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("coded")
    found = {}
    for mode in MODES:
        model = keras.models.load_model(digits_model)
        model.quantize(mode)
        found[mode] = folder / f"{mode}.keras"
        model.save(found[mode])
    return found


@pytest.mark.parametrize(
    ("steps", "mode"),
    [
        *((steps, "int4") for steps in STEPS),
        *((steps, mode) for steps in ("float", "int8", "prune") for mode in ("int8", "float8")),
    ],
)
def test_a_method_works_on_the_floats_that_codes_stand_for(
    coded: dict[str, Path], digits: Path, tmp_path: Path, steps: str, mode: str
) -> None:
    out = tmp_path / ("small.esz" if steps == "pack" else "small.tflite")
    report = package.compress(
        coded[mode],
        output=out,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
        epochs=1,
        **STEPS[steps],
    )
    base, final = report.ledger.base, report.ledger.final
    assert base.parameters == load_model(coded[mode]).count_params()
    assert base.score.value > 0.9
    assert final.score.value > base.score.value - LOSSES.get(steps, 0.1)
    assert final.size_bytes == out.stat().st_size
    assert any(f"was quantized by Keras ({mode})" in note for note in report.notes)
    # the size that results are compared with is that of the codes, not of the floats
    assert base.size_bytes < coded["float8"].stat().st_size
    grown = final.compressed_bytes > 1.05 * base.compressed_bytes
    notes = [note for row in report.ledger.rows for note in row.notes]
    told = [n for n in notes if "made a larger file" in n or "made the file larger" in n]
    assert told or not grown


def test_keras_s_own_codes_are_in_the_file(
    coded: dict[str, Path], digits: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.tflite"
    package.compress(
        coded["int8"],
        output=out,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
        int8=True,
        int8_granularity="channel",
    )
    file = out.read_bytes()
    held = [constant_values(file, t) for t in read_model(file).weights if t.dtype == "int8"]
    stored = load_stored(coded["int8"])
    for name in ("hidden", "digit"):
        codes = np.asarray(stored.get_layer(name).kernel).T
        assert any(np.array_equal(kernel, codes) for kernel in held)
