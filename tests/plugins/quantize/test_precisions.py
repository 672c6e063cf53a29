"""What the precisions say: of candidates, of operators in float, of what cannot be stripped."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgeshrink.devices import DeviceProfile, Reader
from edgeshrink.engine import chosen_devices
from edgeshrink.errors import UsageError, VerificationError
from edgeshrink.models import Kind, ModelFacts, facts
from edgeshrink.plugins import installed
from edgeshrink.recipes.context import Agreement, Context
from edgeshrink.recipes.method import Plan
from edgeshrink.testing import tiny_data, tiny_model
from edgeshrink.testing.running import as_tflite, context
from edgeshrink.tflite import Refusal, naming, read_model
from edgeshrink_quantize import Float, Int8, Int16x8, Mixed, Strip
from edgeshrink_quantize.choosing import chosen

layers = keras.layers


@pytest.fixture
def file(tmp_path: Path) -> bytes:
    return as_tflite(tiny_model(), tmp_path)


def test_a_candidate_that_answers_wrongly_is_ruled_out(file: bytes, tmp_path: Path) -> None:
    model = tiny_model()
    lent = context(Int8.of({}), model, model, None, tmp_path)
    measured = lent.agreement

    def agreement(candidate: bytes) -> Agreement:
        if candidate != file:
            raise VerificationError("its outputs are not finite")
        return measured(candidate)

    lent.agreement = agreement
    assert chosen({"channel": file, "tensor": b"broken"}, lent) == file
    ruled_out, said = lent.notes
    assert ruled_out == "scales for each tensor were ruled out: its outputs are not finite"
    assert said.startswith("scales for each channel were chosen (channel: 100.00% agreement, ")


def test_operators_without_integers_are_named(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 1), name="image")
    x = keras.ops.cos(layers.Dense(4)(layers.Flatten()(image)))
    model = keras.Model(image, layers.Dense(3, name="classes")(x))
    step = Int8.of({"granularity": "tensor"})
    lent = context(step, model, model, tiny_data(), tmp_path)
    step.apply(model, lent)
    said = lent.notes[-1]
    assert said.startswith("operators that stayed in float: 3, DEQUANTIZE: ")
    assert "COS: COS computes in float32" in said


def stripping(file: bytes, folder: Path) -> Context:
    return context(Strip.of({}), file, tiny_model(), None, folder)


def test_what_is_stripped_has_nothing_more_to_strip(file: bytes, tmp_path: Path) -> None:
    lent = stripping(file, tmp_path)
    once = Strip.of({}).apply(file, lent)
    assert lent.notes == []
    assert Strip.of({}).apply(once, lent) == once
    assert lent.notes == ["stripping would not make the file smaller: it is as it was"]


@pytest.mark.parametrize(
    ("names", "beside"), [("short", ["names.json"]), ("none", ["names.json"]), ("keep", [])]
)
def test_names_that_are_lost_lie_beside_the_file(
    file: bytes, tmp_path: Path, names: str, beside: list[str]
) -> None:
    lent = stripping(file, tmp_path)
    made = Strip.of({"names": names}).apply(file, lent)
    assert (naming(made), lent.companions) == (names, beside)


def test_names_that_were_lost_before_are_not_put_in_their_place(
    file: bytes, tmp_path: Path
) -> None:
    lent = stripping(file, tmp_path)
    short = Strip.of({}).apply(file, lent)
    table = (tmp_path / "names.json").read_text()
    assert naming(Strip.of({"names": "none"}).apply(short, lent)) == "none"
    assert (tmp_path / "names.json").read_text() == table


def test_where_mixed_has_stripped_there_are_no_names_to_keep() -> None:
    plan = Plan(ModelFacts(Kind.KERAS), (Mixed.of({"drop": 1}),), (), None, DeviceProfile("any"))
    (said,) = Strip.of({"names": "keep"}).check(plan)
    assert said.startswith("mixed strips the files that it tries")
    assert list(Strip.of({}).check(plan)) == []


def test_a_stripped_file_that_answers_otherwise_is_not_kept(file: bytes, tmp_path: Path) -> None:
    model = tiny_model()
    model.get_layer("hidden").kernel.assign(np.zeros((64, 16)))
    lent = stripping(as_tflite(model, tmp_path), tmp_path)  # compared with another model
    assert Strip.of({}).apply(file, lent) == file
    assert lent.notes == ["the stripped file answered otherwise, and was not kept"]


@pytest.mark.heavy
def test_an_lstm_is_a_loop_where_its_operator_is_refused(tmp_path: Path) -> None:
    steps = keras.Input((8, 8))
    model = keras.Model(steps, layers.LSTM(8, name="sequence")(steps))
    row = Refusal("fused layers", ("UNIDIRECTIONAL_SEQUENCE_LSTM",))
    for reads, operator in ((), row.operators[0]), ((Reader("chip", "Chip 1.0", (row,)),), "WHILE"):
        lent = context(Float.of({}), model, model, None, tmp_path)
        lent = replace(lent, profile=DeviceProfile("board", reads=reads))
        made = Float.of({}).apply(model, lent)
        assert operator in {one.name for one in read_model(made).operators}
        assert lent.notes == [
            f"on board, Chip 1.0 refuses fused layers ({row.operators[0]}): "
            "no such operator for sequence"
            for _ in reads
        ]


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (layers.LayerNormalization, "squares no numbers, as LayerNormalization"),
        (layers.GroupNormalization, "squares no numbers, as GroupNormalization"),
        (layers.RMSNormalization, "squares no numbers, as RMSNormalization"),
        (layers.UnitNormalization, "squares no numbers, as UnitNormalization"),
        (layers.Embedding, "takes no whole numbers to look up, as Embedding"),
        (layers.BatchNormalization, ""),
    ],
)
def test_layers_that_16_bits_cannot_compute_are_told_before_any_work(
    tmp_path: Path, layer: Any, said: str
) -> None:
    options = {layers.Embedding: (4, 4), layers.GroupNormalization: (2,)}.get(layer, ())
    x = keras.Input((8, 8), name="x")
    inner = x if layer is not layers.Embedding else keras.ops.cast(x > 0, "int32")
    y = layers.Dense(3, name="out")(layers.Flatten()(layer(*options, name="odd")(inner)))
    keras.Model(x, y).save(tmp_path / "model.keras")
    (device,) = chosen_devices(("desktop",), "", {}, installed())
    plan = Plan(facts(tmp_path / "model.keras"), (), (), tiny_data(), device)
    with pytest.raises(UsageError, match=said) if said else nullcontext():
        list(Int16x8.of({}).check(plan))
