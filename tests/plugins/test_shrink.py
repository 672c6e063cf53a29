"""Shrinking: what goes, how much, and that files of it are narrower."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from random_models import inputs_for, model_of, randomize

import edgeshrink as package
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.nn.graph.channel_groups import ChannelGraph, channel_graph
from edgeshrink.nn.graph.counts import count
from edgeshrink.nn.graph.surgery import narrowed
from edgeshrink.recipes.asked import TOLERANCE
from edgeshrink.testing import tiny_data, tiny_model
from edgeshrink.testing.running import context, outputs
from edgeshrink.tflite.reader import read_model
from edgeshrink_shrink import MergeNeurons, Shrink
from edgeshrink_shrink.cost import Cost, share_left
from edgeshrink_shrink.importance import CRITERIA, importance
from edgeshrink_shrink.merging import epsilons, pairs
from edgeshrink_shrink.options import ShrinkOptions
from edgeshrink_shrink.selecting import Limits, evenly, together
from edgeshrink_shrink.shrinking import followed, tiled, worth_of_tile

layers = keras.layers
numbers = st.lists(st.integers(0, 9999), min_size=5, max_size=40)


def network() -> keras.Model:
    """Convolutions with batch norms, a residual sum, and a dense layer behind a flatten."""
    given = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="first")(given)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    y = layers.Conv2D(16, 3, padding="same", activation="relu", name="inside")(x)
    x = layers.Add(name="sum")([x, layers.Conv2D(8, 3, padding="same", name="back")(y)])
    x = layers.Dense(12, activation="relu", name="hidden")(layers.Flatten()(x))
    model = keras.Model(given, layers.Dense(4, activation="softmax", name="last")(x))
    randomize(model, 0)
    return model


def shrunk(model: keras.Model, folder: Path, *, data: bool = False, **options: object) -> tuple:
    step = Shrink.of(options)
    lent = context(step, model, model, tiny_data() if data else None, folder)
    return step.apply(model, lent), lent


@pytest.mark.heavy
@settings(max_examples=3)
@given(numbers=numbers, seed=st.integers(0, 99))
def test_costs_are_those_of_the_rebuilt_model(numbers: list[int], seed: int) -> None:
    model = model_of(numbers)
    graph = channel_graph(model)
    rng, removed = np.random.default_rng(seed), np.zeros(graph.numbers, bool)
    for group in graph.free:
        removed[rng.permutation(group.channels)[: len(group) // 2]] = True
    whole, small = count(model), count(narrowed(graph, removed))
    none = np.zeros(graph.numbers, bool)
    cost = Cost(graph)
    assert cost.of("parameters", none) == whole.parameters
    extra = small.parameters - cost.of("parameters", removed)
    biases = sum(len(a.ids) for a in graph.axes if a.role == "outputs")
    assert 0 <= extra <= biases  # biases that hold what an activation leaves
    if not any(isinstance(layer, layers.MultiHeadAttention) for layer in model._flatten_layers()):
        assert cost.of("macs", none) == whole.macs
        assert cost.of("macs", removed) == small.macs


@settings(max_examples=25)
@given(
    ratio=st.floats(0.05, 0.9),
    tile=st.integers(1, 8),
    least=st.integers(1, 6),
    seed=st.integers(0, 9),
    scope=st.sampled_from(["global", "layer"]),
)
def test_a_selection_is_the_smallest_that_is_enough_or_the_nearest(
    ratio: float, tile: int, least: int, seed: int, scope: str
) -> None:
    graph = GRAPH
    worth = np.random.default_rng(seed).random(graph.numbers)
    cost, limits = Cost(graph), Limits(least, tile)
    whole = cost.of("parameters", np.zeros(graph.numbers, bool))

    def left(removed: np.ndarray) -> float:
        return cost.of("parameters", removed) / whole

    selection = evenly(graph, worth, limits)
    if scope == "global":
        selection = together(graph, worth, limits, selection.nearest(left, 1 - ratio))
    removed = selection.nearest(left, 1 - ratio)
    for group in graph.groups:
        kept = int((~removed[group.channels]).sum())
        if group.fence is None:
            assert kept >= min(least, len(group))
            own = tile
            while own > 1 and own * 2 > len(group):
                own //= 2
            assert kept % own == 0 or kept == len(group)
            gone = worth[group.channels][removed[group.channels]]
            stays = worth[group.channels][~removed[group.channels]]
            assert not len(gone) or gone.max() <= stays.min()
        else:
            assert kept == len(group)
    levels = [selection.at(n) for n in range(len(selection.levels) + 1)]
    costs = [cost.of("parameters", level) for level in levels]
    assert costs == sorted(costs, reverse=True)
    shares = [left(level) for level in levels]
    enough = max((share for share in shares if share <= 1 - ratio), default=shares[-1])
    nearest = min(abs(share - (1 - ratio)) for share in shares)
    if 1 - ratio - enough <= TOLERANCE:
        assert left(removed) == enough
    else:
        assert abs(left(removed) - (1 - ratio)) <= max(nearest, TOLERANCE)


GRAPH: ChannelGraph = channel_graph(network())


@pytest.mark.parametrize("criterion", sorted(set(CRITERIA) - {"random"}))
def test_a_dead_channel_is_worth_least(criterion: str, tmp_path: Path) -> None:
    model = tiny_model()
    step = Shrink.of({"ratio": 0.5})
    lent = context(step, model, model, tiny_data(), tmp_path)
    graph = channel_graph(model)
    group = max(graph.free, key=len)
    for axis in group.axes:  # neither made nor taken in, and in the median of all others
        values = np.moveaxis(np.array(axis.variable), axis.axis, 0)
        values[axis.ids == group.channels[1]] = 0
        axis.variable.assign(np.moveaxis(values, 0, axis.axis))
    worth = importance(graph, criterion, lent)[group.channels]
    if criterion == "bn":
        assert np.isinf(worth).all()  # no batch norm: they stay
    elif criterion != "median":  # there, what lies amid the others goes first
        assert worth.argmin() == 1


def test_the_wanted_share_goes_and_the_ledger_says_what(tmp_path: Path) -> None:
    model = network()
    before = count(model)
    made, lent = shrunk(model, tmp_path, ratio=0.5, target="macs", round=2)
    after = count(made)
    assert abs(after.macs / before.macs - 0.5) < 0.1
    assert abs(lent.facts["share_removed"] - 0.5) < 0.1
    assert "(50.0% asked, in tiles of 2 channels)" in " ".join(lent.notes)
    assert "unmet" not in lent.facts
    widths = {layer: made.get_layer(layer).filters for layer in ("first", "inside", "back")}
    assert widths["first"] == widths["back"]
    assert all(width % 2 == 0 for width in widths.values())
    assert lent.notes[0].endswith(
        f": parameters {before.parameters:,} → {after.parameters:,}, "
        f"MACs {before.macs:,} → {after.macs:,}"
    )
    assert lent.notes[1].startswith("widths: ")
    assert f"inside 16 → {widths['inside']}" in lent.notes[1]
    assert made.output_names == model.output_names


def test_what_had_to_stay_is_told(tmp_path: Path) -> None:
    given = keras.Input((8, 8, 1), name="image")
    x = layers.Dense(16, activation="relu")(layers.Flatten()(given))
    x = layers.Dense(6, activation="softmax", name="mixing")(x)
    model = keras.Model(given, layers.Dense(4, activation="softmax")(x))
    _, lent = shrunk(model, tmp_path, ratio=0.3, criterion="l2")
    said = "had to stay: 6 channels (mixing weighs channels against each other)"
    assert said in lent.notes


def test_what_cannot_be_reached_is_said_and_the_best_is_kept(tmp_path: Path) -> None:
    made, lent = shrunk(network(), tmp_path, ratio=0.9, target="parameters", min_width=6)
    assert made.get_layer("first").filters == 6
    assert made.get_layer("hidden").units == 6
    assert lent.facts["unmet"].startswith("shrink: asked for 90.0% of parameters, ")
    said = "groups keep what --shrink-min-width and --shrink-round say"
    assert lent.facts["unmet"].endswith(said)


def test_a_last_tile_that_cannot_go_excuses_nothing() -> None:
    given = keras.Input((6,))
    x = layers.Dense(32, activation="relu", name="hidden")(given)
    graph = channel_graph(keras.Model(given, layers.Dense(2)(x)))
    (hidden,) = (group for group in graph.free if len(group) == 32)

    def worth(kept: int, *, back: bool = False) -> float:
        removed = np.zeros(graph.numbers, bool)
        removed[hidden.channels[kept:]] = True
        return worth_of_tile(
            graph, removed, Limits(2, 8), lambda gone: 1 - gone.sum() / 100, back=back
        )

    assert worth(16) == pytest.approx(0.08)
    assert worth(8) == worth(32) == 0
    assert worth(8, back=True) == pytest.approx(0.08)


def test_a_tile_of_the_device_is_halved_until_the_share_can_go() -> None:
    given = keras.Input((6,))
    x = layers.Dense(32, activation="relu")(given)
    graph = channel_graph(keras.Model(given, layers.Dense(2)(x)))
    left = partial(share_left("macs", graph, None), graph)
    worth = np.arange(graph.numbers, dtype=float)
    for ratio, tile in ((0.4, 16), (0.5, 16), (0.75, 8), (0.99, 1)):
        found, removed, done = tiled(graph, worth, ShrinkOptions(ratio, "macs"), 16, left, ratio)
        assert found == tile
        assert done.done == 1 - left(removed)
        assert bool(done.missed) == (ratio == 0.99)


def test_one_tile_more_comes_nearer_than_the_next_removal() -> None:
    given = keras.Input((8,))
    x = layers.Dense(32, activation="relu", name="wide")(given)
    x = layers.Dense(64, activation="relu", name="wider")(x)
    graph = channel_graph(keras.Model(given, layers.Dense(2)(x)))
    wide, wider = sorted(graph.free, key=len)
    worth = np.full(graph.numbers, np.inf)
    worth[wider.channels], worth[wide.channels] = 2.0, 1.0  # all of a layer, or none
    worth[wider.channels[:16]] = 0.5
    selection = evenly(graph, worth, Limits(2, 16))
    selection.ranks = worth
    selection.levels = np.unique(worth[np.isfinite(worth)])
    left = partial(share_left("channels", graph, None), graph)
    # by levels 16, 32 or 80 channels go; one tile more of the wider layer makes it 48
    shares = [1 - left(selection.at(n)) for n in range(4)]
    assert shares == pytest.approx([0, 1 / 6, 1 / 3, 2 / 3])
    assert left(selection.nearest(left, 0.5)) == 0.5


def test_tiles_are_of_the_device_where_speed_is_asked_for() -> None:
    assert Shrink.of({"ratio": 0.5, "target": "macs"}).tiled
    assert not Shrink.of({"ratio": 0.5, "target": "macs", "round": 4}).tiled
    assert not Shrink.of({"ratio": 0.5}).tiled


def test_only_what_named_layers_make_goes(tmp_path: Path) -> None:
    model = tiny_model()
    made, _ = shrunk(model, tmp_path, ratio=0.3, criterion="l2", layers=["hidden"])
    assert made.get_layer("conv").kernel.shape == model.get_layer("conv").kernel.shape
    assert made.get_layer("hidden").kernel.shape[1] < 16
    with pytest.raises(ModelError, match="classes makes no channels that can go"):
        shrunk(model, tmp_path, ratio=0.3, criterion="l2", layers=["classes"])


def test_rounds_come_to_the_same_share(tmp_path: Path) -> None:
    made, lent = shrunk(
        network(), tmp_path, data=False, ratio=0.6, target="macs", rounds=3, round=1
    )
    assert count(made).macs <= 0.4 * count(network()).macs
    assert lent.facts["criterion"] == "l2"
    assert lent.notes[-1] == (
        "rebuilt without these channels, the model answered as it did with them at zero"
    )


def test_rounds_without_an_epoch_estimate_batch_norms_anew_and_say_so_once(tmp_path: Path) -> None:
    _, lent = shrunk(network(), tmp_path, data=True, ratio=0.3, rounds=3, criterion="l2")
    said = "batch-norm statistics were estimated anew on training samples"
    assert lent.notes.count(said) == 1


def test_a_model_in_which_nothing_can_go_is_refused_with_the_reasons() -> None:
    given = keras.Input((3,))
    model = keras.Model(given, layers.Dense(2, name="only")(given))
    with pytest.raises(ModelError, match=r"2 channels: outputs of the model"):
        followed(model)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, float("nan"), "half"])
def test_a_ratio_out_of_range_is_refused(ratio: object) -> None:
    with pytest.raises(UsageError, match="ratio"):
        Shrink.of({"ratio": ratio})


def test_neurons_that_compute_the_same_merge_without_a_change(tmp_path: Path) -> None:
    model = network()
    graph = channel_graph(model)
    for group in graph.free:  # the second half of each group computes what the first does
        half = len(group) // 2
        for axis in group.axes:
            if axis.role == "inputs":
                continue
            values = np.moveaxis(np.array(axis.variable), axis.axis, 0)
            for one, other in zip(group.channels[:half], group.channels[half:], strict=True):
                values[axis.ids == other] = values[axis.ids == one]
            axis.variable.assign(np.moveaxis(values, 0, axis.axis))
    inputs = inputs_for(model, 8)[0]
    wanted = np.asarray(model(inputs))
    step = MergeNeurons.of({"ratio": 0.5})
    made = step.apply(model, context(step, model, model, None, tmp_path))
    assert made.get_layer("inside").filters == 8
    assert made.get_layer("hidden").units == 6
    np.testing.assert_allclose(np.asarray(made(inputs)), wanted, atol=1e-5)


def test_what_a_norm_adds_to_a_variance_decides_which_neurons_are_alike() -> None:
    """Filters 0 and 1 differ by 0.5 before the norm, 2 and 3 by 1; variances are 0 and 1."""
    given = keras.Input((4, 4, 1))
    kernel = np.array([0.0, 0.5, 10.0, 11.0], "float32").reshape(1, 1, 1, 4)

    def merged_with(epsilon: float) -> tuple[int, int]:
        conv = layers.Conv2D(4, 1, use_bias=False)
        norm = layers.BatchNormalization(center=False, scale=False, epsilon=epsilon)
        end = layers.Dense(2, use_bias=False)
        model = keras.Model(given, end(layers.Flatten()(norm(conv(given)))))
        conv.kernel.assign(kernel)
        norm.moving_variance.assign([0.0, 0.0, 1.0, 1.0])
        end.kernel.assign(np.ones(end.kernel.shape))
        (group,) = followed(model).free
        ((kept, gone),) = pairs(group, 1, epsilons(model))
        return kept, gone

    assert set(merged_with(1e-3)) == {2, 3}  # 0.5 becomes 16, 1 stays 1
    assert set(merged_with(10.0)) == {0, 1}  # 0.5 becomes 0.16, 1 becomes 0.3


def test_neurons_that_cannot_be_merged_are_told(tmp_path: Path) -> None:
    step = MergeNeurons.of({"ratio": 0.75, "min_width": 6})
    lent = context(step, network(), network(), None, tmp_path)
    step.apply(network(), lent)
    assert lent.facts["unmet"].startswith("merge_neurons: asked for 75.0% of neurons and filters")
    said = "; no group gets narrower than --merge-neurons-min-width 6"
    assert lent.facts["unmet"].endswith(said)


def test_groups_that_are_rounded_on_their_own_have_met_what_was_asked_for(tmp_path: Path) -> None:
    """Half of 3 is 2 in each of three groups: 6 of 9, and no width stands in the way."""
    given = keras.Input((8, 8, 1))
    out = layers.Flatten()(given)
    for _ in range(3):
        out = layers.Dense(3, activation="relu")(out)
    model = keras.Model(given, layers.Dense(2)(out))
    step = MergeNeurons.of({"ratio": 0.5, "min_width": 1})
    lent = context(step, model, model, None, tmp_path)
    made = step.apply(model, lent)
    assert [layer.units for layer in made.layers[2:]] == [1, 1, 1, 2]
    assert "unmet" not in lent.facts
    (said,) = (note for note in lent.notes if note.startswith("removed"))
    assert "removed 6 of 9 neurons and filters, for which similar ones stand in: parameters" in said


def test_merging_is_nearer_than_removing_at_random(tmp_path: Path) -> None:
    inputs = inputs_for(network(), 64)[0]
    wanted = outputs(network(), inputs)
    step = MergeNeurons.of({"ratio": 0.25})
    merged = step.apply(network(), context(step, network(), network(), None, tmp_path))
    removed, _ = shrunk(network(), tmp_path, ratio=0.25, scope="layer", criterion="random")
    assert count(merged).parameters <= count(removed).parameters
    assert (
        np.abs(outputs(merged, inputs) - wanted).mean()
        < np.abs(outputs(removed, inputs) - wanted).mean()
    )


@pytest.mark.heavy
@pytest.mark.parametrize("precision", ["int8", pytest.param("fp16", marks=pytest.mark.slow)])
def test_one_command_shrinks_prunes_and_quantizes(
    digits: Path, digits_model: Path, tmp_path: Path, precision: str
) -> None:
    report = package.compress(
        digits_model,
        output=tmp_path / "small.tflite",
        shrink=0.4,
        prune=0.5,
        **{precision: True},
        epochs=2,
        lr=0.002,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
    )
    rows = report.ledger.rows
    base, pruned, final = rows[0], rows[3], rows[-1]
    assert [row.step.partition("(")[0] for row in rows[2:4]] == ["shrink", "prune"]
    flat = read_model((tmp_path / "small.tflite").read_bytes())
    assert flat.parameters < 0.8 * base.parameters
    assert final.nonzeros <= pruned.nonzeros < 0.7 * pruned.parameters
    if precision == "int8":
        assert {t.dtype for t in flat.weights if len(t.shape) > 1} == {"int8"}
    assert final.score is not None
    assert final.score.value > 0.85


def test_criteria_that_need_data_say_so_before_anything_is_loaded(edgeshrink, digits_model) -> None:
    done = edgeshrink(
        "compress", digits_model, "--shrink", "0.5", "--shrink-criterion", "taylor", "-o", "x.keras"
    )
    assert done.returncode == 2
    assert "the criterion taylor needs training data" in done.stderr
