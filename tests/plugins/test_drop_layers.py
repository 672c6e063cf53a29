"""Dropping layers: what may go, what that saves, and that the least harm goes first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

import edgeshrink as package
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts
from edgeshrink.nn.graph.bypass import Switched, without
from edgeshrink.nn.graph.counts import count
from edgeshrink.nn.graph.rewrite import rewritten
from edgeshrink.nn.graph.section import Section, sections
from edgeshrink.recipes.method import Plan
from edgeshrink.testing import check_method, tiny_data
from edgeshrink.testing.running import context, opened_again, outputs
from edgeshrink_droplayers import DropLayers
from edgeshrink_droplayers.greedy import Search

layers = keras.layers
Part = Callable[[Any], Any]


def conv(x: Any, filters: int, size: int = 3, **options: Any) -> Any:
    x = layers.Conv2D(filters, size, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def residual(x: Any) -> Any:
    return x + layers.Conv2D(x.shape[-1], 3, padding="same")(conv(x, 6))


def projected(x: Any) -> Any:
    branch = layers.Conv2D(8, 3, padding="same")(conv(x, 8))
    return layers.ReLU()(layers.Add()([branch, layers.Conv2D(8, 1)(x)]))


def separable(x: Any) -> Any:
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    return conv(layers.ReLU()(layers.BatchNormalization()(x)), x.shape[-1], 1)


def nested(x: Any) -> Any:
    inner = keras.Input(x.shape[1:])
    return keras.Model(inner, residual(inner))(x)


def twice(x: Any) -> Any:
    shared = layers.Conv2D(x.shape[-1], 3, padding="same", activation="relu")
    return shared(shared(x))


PARTS: dict[str, Part] = {
    "plain": lambda x: conv(x, x.shape[-1]),
    "wider": lambda x: conv(x, x.shape[-1] + 1),
    "residual": residual,
    "projected": projected,
    "separable": separable,
    "nested": nested,
    "twice": twice,
    "pool and add": lambda x: x + layers.AveragePooling2D(3, 1, "same")(x),
}


def model_of(*parts: str, side: int = 8) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((side, side, 1), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    for part in parts:
        x = PARTS[part](x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(x))


def dropped(model: keras.Model, folder: Path, *, data: bool = False, **options: Any) -> tuple:
    step = DropLayers.of(options)
    lent = context(step, model, model, tiny_data() if data else None, folder)
    return step.apply(model, lent), lent


def found_in(*parts: str) -> list[Section]:
    return sections(rewritten(model_of(*parts), lambda op, name: None))


@settings(max_examples=3)
@given(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=3))
@example(sorted(PARTS))
def test_what_goes_saves_what_was_said_and_switches_tell_the_same(parts: list[str]) -> None:
    model = model_of(*parts, side=6)
    flat = rewritten(model, lambda op, name: None)
    inputs = np.random.default_rng(0).normal(size=(2, 6, 6, 1)).astype("float32")
    whole, found = count(flat), sections(flat)
    switched = Switched(flat, found)
    np.testing.assert_allclose(switched.model(inputs), model(inputs), atol=1e-5)
    for section in found:
        rest = without(flat, section)
        left = count(rest)
        assert whole.macs - left.macs == section.macs
        assert whole.parameters - left.parameters == section.parameters
        assert section.macs > 0
        assert rest.output_shape == model.output_shape
        with switched.left_out(section) as short:
            np.testing.assert_allclose(short(inputs), rest(inputs), atol=1e-5)
    np.testing.assert_allclose(switched.model(inputs), model(inputs), atol=1e-5)


@pytest.mark.parametrize(
    ("part", "macs"),
    [
        ("plain", [64 * 9 * 4 * 4]),
        ("wider", []),
        ("residual", [64 * 9 * (4 * 6 + 6 * 4)]),
        # the branch, where the shortcut stays; and the second convolution of it
        ("projected", [64 * 9 * (4 * 8 + 8 * 8), 64 * 9 * 8 * 8]),
        ("separable", [64 * (9 * 4 + 4 * 4)]),
        ("nested", [64 * 9 * (4 * 6 + 6 * 4)]),
        ("twice", [2 * 64 * 9 * 4 * 4]),
        ("pool and add", []),
    ],
)
def test_what_can_go(part: str, macs: list[int]) -> None:
    assert [section.macs for section in found_in(part)] == macs


def test_sections_say_what_they_are() -> None:
    (branch, inner) = found_in("projected")
    assert branch.name.startswith("residual branch of add")
    first, last = branch.name.split(": ")[1].split(" … ")
    assert inner.name == last
    assert first != last
    assert f"{branch.macs:,} MACs" in str(branch)
    (block,) = found_in("separable")
    assert block.name.startswith("depthwise_conv2d")
    assert " … conv2d" in block.name


def test_dense_and_recurrent_layers_can_go_but_outputs_and_inputs_stay() -> None:
    inputs = keras.Input((5, 4))
    x = layers.LSTM(4, return_sequences=True, name="lstm")(inputs)
    x = layers.Bidirectional(layers.GRU(2, return_sequences=True), name="both")(x)
    x = layers.Dense(4, activation="relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(4, name="last")(x))
    assert [section.name for section in sections(model)] == ["lstm", "both", "hidden"]
    left, right = keras.Input((4,)), keras.Input((4,))
    both = layers.Add(name="sum")([layers.Dense(4, name="one")(left), right])
    model = keras.Model([left, right], layers.Dense(2)(both))
    assert [section.name for section in sections(model)] == ["one"]


def test_a_shared_layer_that_must_stay_somewhere_stays() -> None:
    inputs = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    outputs = [layers.Dense(2)(shared(layers.ReLU()(inputs))), shared(inputs)]
    assert sections(keras.Model(inputs, outputs)) == []


def telling(*parts: str) -> tuple[keras.Model, list[Any]]:
    """Return a model whose stem says the first class, and its convolutions behind the stem."""
    model = model_of(*parts)
    stem, *behind = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    stem.set_weights([stem.kernel, np.array([5, 0, 0, 0], "float32")])
    model.get_layer("classes").set_weights([np.eye(4, 3), np.zeros(3)])
    return model, behind


@pytest.mark.parametrize(("place", "count"), [("first", 1), ("second", "auto")])
def test_the_least_harm_goes_first(tmp_path: Path, place: str, count: int | str) -> None:
    model, (first, one, second, other) = telling("residual", "residual")
    dull, loud = (one, other) if place == "first" else (other, one)
    dull.set_weights([np.zeros(v.shape) for v in dull.weights])
    loud.set_weights([loud.kernel, np.array([0, 0, 90, 0], "float32")])  # says the last class
    made, lent = dropped(model, tmp_path, count=count)
    np.testing.assert_allclose(outputs(made), outputs(model), atol=1e-5)
    assert len(lent.facts["dropped"]) == 1
    assert lent.facts["harm"] == 0
    assert len(lent.facts["harms"]) == 2
    assert max(lent.facts["harms"].values()) == 1
    gone = first if place == "first" else second
    assert lent.facts["dropped"][0].endswith(f"{gone.name} … {dull.name}")
    assert "on made-up inputs" in lent.notes[0]
    assert lent.notes[0].startswith("harm of dropping each alone (agreement with the model before")
    assert lent.notes[1].startswith(f"dropped {lent.facts['dropped'][0]}")
    assert lent.notes[1].endswith("; harm so far 0.0000")


@pytest.mark.parametrize(("rank", "gone"), [("harm", "plain"), ("harm-per-mac", "residual")])
def test_harm_counts_by_what_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str, gone: str
) -> None:
    model = model_of("plain", "residual")
    residual, plain = sections(rewritten(model, lambda op, name: None))
    assert residual.macs == 3 * plain.macs
    harms = [0.2, 0.1, 0.9]  # each alone, as they are found; then both
    for number in (1, 2):
        told = iter(harms)
        monkeypatch.setattr(Search, "harm", lambda self, short, told=told: next(told))
        _, lent = dropped(model, tmp_path, count=number, rank=rank)
        assert lent.facts["dropped"][0] == {"plain": plain, "residual": residual}[gone].name
        assert list(lent.facts["harms"].values()) == [0.1, 0.2]
        assert lent.facts["harm"] == ({"plain": 0.1, "residual": 0.2}[gone], 0.9)[number - 1]


def test_what_is_named_goes_though_it_harms_more(tmp_path: Path) -> None:
    model, (_, one, _, other) = telling("residual", "residual")
    one.set_weights([np.zeros(v.shape) for v in one.weights])
    first, second = [s.passed[0][0] for s in sections(rewritten(model, lambda op, name: None))]
    for name, gone in ((first, one), (second, other)):
        _, lent = dropped(model, tmp_path, count=1, of=[name])
        assert lent.facts["dropped"][0].endswith(gone.name)
        assert len(lent.facts["harms"]) == 1
    with pytest.raises(ModelError, match="nothing_like_it cannot be dropped"):
        dropped(model, tmp_path, count=1, of=["nothing_like_it"])


def test_auto_that_may_lose_nothing_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    model, (only, *_) = telling("residual")
    only.set_weights([only.kernel * 90])
    made, lent = dropped(model, tmp_path, count="auto", tolerance=0.0)
    assert made is model
    assert lent.facts["dropped"] == []
    assert lent.notes[-1].startswith("no more were dropped: without ")
    assert lent.notes[-1].endswith(" is over the tolerance")


def test_what_is_left_is_trained_and_opens_with_plain_keras(tmp_path: Path) -> None:
    model = model_of("plain")
    once, told = dropped(model, tmp_path, count=1)
    whole, rest = count(model), count(once)
    assert told.notes[-1] == (
        f"1 dropped: {whole.macs:,} MACs became {rest.macs:,}, "
        f"{whole.parameters:,} parameters {rest.parameters:,}"
    )
    made, lent = dropped(model, tmp_path, data=True, count=1)
    assert count(made).macs == count(once).macs < count(model).macs
    assert lent.evaluate(made) >= lent.evaluate(once)
    assert not np.allclose(made.get_layer("stem").kernel, model.get_layer("stem").kernel)
    again = opened_again(made, tmp_path, "drop_layers")
    np.testing.assert_allclose(outputs(again), outputs(made), atol=1e-6)
    assert "on 12 validation samples" in lent.notes[0]


def test_more_than_there_is_drops_all_and_says_so(tmp_path: Path) -> None:
    made, lent = dropped(model_of("plain", "residual"), tmp_path, count=5)
    assert len(lent.facts["dropped"]) == 2
    assert lent.facts["unmet"].startswith(
        "drop_layers: asked for 5 layers, 2 dropped; nothing else has an output of the shape of its"
    )
    assert lent.notes[-1] == lent.facts["unmet"]
    assert sections(made) == []


def test_nothing_to_drop_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found nothing to drop") as caught:
        dropped(model_of("wider"), tmp_path, count=1)
    assert "--shrink" in caught.value.hint


def test_a_subclassed_model_is_refused(tmp_path: Path) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.last = layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.last(keras.ops.reshape(x, (-1, 64)))

    step = DropLayers.of({"count": 1})
    lent = context(step, model_of(), model_of(), None, tmp_path)
    with pytest.raises(ModelError, match="subclassed model"):
        step.apply(Own(), lent)


@pytest.mark.parametrize("value", [0, -1, 1.5, "all"])
def test_a_count_that_means_nothing_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="a whole number at least 1 or auto"):
        DropLayers.of({"count": value})


def test_a_tolerance_without_auto_is_refused() -> None:
    with pytest.raises(UsageError, match="where auto ends; received one with a count of 2"):
        DropLayers.of({"count": 2, "tolerance": 0.1})
    assert DropLayers.of({"count": "auto", "tolerance": "0.1"}).options.tolerance == 0.1


def test_a_lack_of_data_is_told_before_the_work() -> None:
    plan = Plan(ModelFacts(Kind.KERAS), (), (), None, DeviceProfile("test"))
    told = list(DropLayers.of({"count": 1}).check(plan))
    assert [note.split(":")[0] for note in told] == ["no data", "no training data"]


@pytest.mark.parametrize("value", [2, "auto"])
def test_the_method_is_one(value: object) -> None:
    check_method(DropLayers, {"count": value}, apply=False)


@pytest.mark.slow
def test_whole_chain_with_pruning_and_integers(tmp_path: Path, shared: Path) -> None:
    report = package.compress(
        shared / "models" / "fsdd_dscnn.keras",
        output=tmp_path / "small.tflite",
        drop_layers=1,
        drop_layers_epochs=15,
        drop_layers_lr=3e-3,
        prune=0.5,
        prune_epochs=8,
        prune_lr=1e-3,
        int8=True,
        data=str(shared / "data" / "fsdd_logmel.npz"),
        rules="smoke",
    )
    base, _, first, *_, final = report.ledger.rows
    assert first.macs < 0.75 * base.macs
    assert final.macs == first.macs
    assert final.scores[0].value > 0.8
