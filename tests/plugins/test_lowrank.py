"""Low rank: products that are nearly a kernel, and chains of layers that compute them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models.config import facts
from edgeshrink.nn.graph.counts import count
from edgeshrink.nn.graph.rewrite import Call, rewritten
from edgeshrink.recipes.asked import TOLERANCE
from edgeshrink.recipes.method import Plan
from edgeshrink.testing import check_light, check_method, tiny_data, tiny_model
from edgeshrink.testing.running import context
from edgeshrink_lowrank import Lowrank
from edgeshrink_lowrank.budget import allocated
from edgeshrink_lowrank.chains import chain
from edgeshrink_lowrank.choosing import KINDS, Choice, by_outputs, by_weights, within
from edgeshrink_lowrank.kinds import Factored, tails
from edgeshrink_lowrank.sites import sites
from edgeshrink_lowrank.vbmf import rank_above_noise

layers = keras.layers
WINDOWS = {"svd": 1, "spatial": 3, "tucker": 3, "cp": 3}
RATIOS = (0.1, 0.3, 0.5)


def lowered(
    model: keras.Model, folder: Path, *, data: bool = False, **options: Any
) -> tuple[keras.Model, Any]:
    step = Lowrank.of(options)
    lent = context(step, tiny_model(), tiny_model(), tiny_data() if data else None, folder)
    return step.apply(model, lent), lent


def filled(model: keras.Model, rank: int | None = None) -> keras.Model:
    """Give each weight random values; kernels of at most this rank, if one is given."""
    rng = np.random.default_rng(5)
    for weight in model.weights:
        values = rng.normal(0, 0.5, weight.shape)
        if rank is not None and len(weight.shape) > 1:
            u, s, v = np.linalg.svd(values.reshape(-1, weight.shape[-1]), full_matrices=False)
            s[rank:] = 0
            values = (u * s @ v).reshape(weight.shape)
        weight.assign(values)
    return model


def replaced(model: keras.Model, name: str, ranks: tuple[int, ...] | None = None) -> keras.Model:
    """Return a model with every layer that `name` fits as a chain of full, or these, ranks."""
    made: dict[int, Factored] = {}
    for site in sites(model)[0]:
        if KINDS[name].fits(site):
            kind = KINDS[name](site)
            made[id(site.layer)] = kind.factored(ranks or kind.ladder[-1])

    def change(op: Any, free: str) -> Call | None:
        return chain(op, free, made[id(op)]) if id(op) in made else None

    assert made
    return rewritten(model, change)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[str, tuple[int, ...], dict[str, Any]]:
    """A decomposition, the shape of a sample, and the configuration of a convolution."""
    name = draw(st.sampled_from(["svd", "spatial", "tucker"]))
    sizes = 2 if name == "spatial" else draw(st.integers(1, 3))
    window = tuple(draw(st.integers(2 if name == "spatial" else 1, 3)) for _ in range(sizes))
    assume(name == "svd" or max(window) > 1)
    moves = draw(st.sampled_from(["strides", "dilation_rate"]))
    step = draw(st.integers(1, 2)) if sizes == 3 or moves == "dilation_rate" else 0
    steps = (step,) * sizes if step else tuple(draw(st.integers(1, 2)) for _ in range(sizes))
    paddings = ["valid", "same", "causal"] if sizes == 1 else ["valid", "same"]
    first = draw(st.booleans()) and sizes > 1
    config = {
        "filters": draw(st.integers(1, 4)),
        "kernel_size": window,
        "padding": draw(st.sampled_from(paddings)),
        "activation": draw(st.sampled_from([None, "relu", "tanh"])),
        "use_bias": draw(st.booleans()),
        "data_format": "channels_first" if first else "channels_last",
        moves: steps,
    }
    channels, inner = draw(st.integers(1, 4)), (7, 6, 5)[:sizes]
    return name, (channels, *inner) if first else (*inner, channels), config


@pytest.mark.heavy
@settings(max_examples=25)
@given(convolutions())
def test_at_full_rank_a_convolution_computes_the_same(
    drawn: tuple[str, tuple[int, ...], dict[str, Any]],
) -> None:
    name, shape, config = drawn
    kind = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}[len(config["kernel_size"])]
    model = filled(keras.Sequential([keras.Input(shape), kind(**config)]))
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
    made = replaced(model, name)
    assert len(made.layers) > len(model.layers)
    np.testing.assert_allclose(made(x), model(x), atol=2e-4)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("strides", [1, 2])
def test_what_a_chain_is_said_to_cost_it_costs(name: str, strides: int) -> None:
    layer = layers.Conv2D(12, WINDOWS[name], strides=strides, padding="same", name="conv")
    model = filled(keras.Sequential([keras.Input((9, 7, 8)), layer]))
    (site,), _ = sites(model)
    kind = KINDS[name](site)
    assert (np.diff(kind.costs) > 0).all()
    assert (np.diff(kind.losses) <= 1e-9).all()
    for ranks in kind.ladder[1:6]:
        one = kind.factored(ranks)
        made = replaced(model, name, ranks)
        assert count(made).macs == one.macs == kind.macs(ranks)
        assert made.layers[-1].name == "conv"
        assert kind.within(one.macs) == ranks
        assert kind.within(one.macs - 1) != ranks


@pytest.mark.parametrize("name", WINDOWS)
def test_what_is_said_to_be_lost_is_lost(name: str) -> None:
    layer = layers.Conv2D(6, WINDOWS[name], use_bias=False)
    model = filled(keras.Sequential([keras.Input((7, 7, 8)), layer]))
    (site,), _ = sites(model)
    kind = KINDS[name](site)
    rung = len(kind.ladder) // 3
    one = kind.factored(kind.ladder[rung])
    impulses = np.zeros((8, 7, 7, 8), "float32")  # one for each channel: the answer is the kernel
    impulses[np.arange(8), 3, 3, np.arange(8)] = 1
    whole = np.asarray(model(impulses))
    lost = np.square(whole - np.asarray(replaced(model, name, one.ranks)(impulses))).sum()
    assert np.square(whole).sum() == pytest.approx(site.energy, rel=1e-5)
    assert lost / site.energy == pytest.approx(one.loss, abs=1e-4)
    assert 0.01 < one.loss < 1
    if kind.foretold:
        assert one.loss <= kind.losses[rung] + 1e-6
    assert one.loss == pytest.approx(kind.losses[rung], abs=0.06)


@pytest.mark.parametrize("name", WINDOWS)
def test_of_a_kernel_of_zeros_nothing_is_lost(name: str) -> None:
    model = keras.Sequential([keras.Input((5, 5, 4)), layers.Conv2D(6, WINDOWS[name])])
    model.layers[0].kernel.assign(np.zeros(model.layers[0].kernel.shape))
    (site,), _ = sites(model)
    kind = KINDS[name](site)
    assert kind.losses[-1] == kind.factored(kind.ladder[0]).loss == 0
    assert kind.above_noise() == (1,) * len(kind.ladder[0])


def test_losses_of_sums_of_terms_are_real_ones() -> None:
    model = filled(keras.Sequential([keras.Input((7, 7, 8)), layers.Conv2D(6, 3)]))
    (site,), _ = sites(model)
    kind = KINDS["cp"](site)
    worthwhile = int((kind.costs < site.macs).sum())
    for rank in (1, 2, worthwhile):
        assert kind.losses[rank - 1] == pytest.approx(kind.factored((rank,)).loss)
    assert (np.diff(kind.losses[:worthwhile]) < 0).all()


@pytest.mark.parametrize("name", ["spatial", "tucker", "cp"])
def test_kernels_of_low_rank_are_found_again(name: str) -> None:
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((6, 6, 8)), layers.Conv2D(9, 3, name="conv")])
    if name == "spatial":
        parts = rng.normal(size=(3, 8, 2)), rng.normal(size=(2, 3, 9))
        kernel = np.einsum("hir,rwo->hwio", *parts)
    else:
        kernel = np.einsum("sr,ir,or->sio", *(rng.normal(size=(n, 2)) for n in (9, 8, 9)))
    model.layers[0].set_weights([kernel.reshape(3, 3, 8, 9), np.zeros(9)])
    ranks = (2, 2) if name == "tucker" else (2,)
    x = rng.normal(size=(2, 6, 6, 8)).astype("float32")
    np.testing.assert_allclose(replaced(model, name, ranks)(x), model(x), atol=0.02)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.SimpleRNN])
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers_compute_the_same_at_the_rank_of_their_input_kernel(
    kind: Any, both: bool
) -> None:
    given, state = keras.Input((5, 9)), keras.Input((4,))
    own = layers.Masking()(given)
    inner = kind(4, return_sequences=True, name="rnn", dropout=0.1)
    if both:
        inner = layers.Bidirectional(inner, name="rnn")
        model = keras.Model([given, state], inner(own))
    else:
        states = [state] * (2 if kind is layers.LSTM else 1)
        model = keras.Model([given, state], inner(own, initial_state=states))
    filled(model, rank=3)
    x = np.random.default_rng(0).normal(size=(2, 5, 9)).astype("float32")
    x[0, 3:] = 0  # masked
    h = np.ones((2, 4), "float32")
    (site,), _ = sites(model)
    full = site.macs - site.fixed
    assert site.fixed == 5 * 4 * site.outputs
    assert full == 5 * 9 * site.outputs
    rank = np.linalg.matrix_rank(site.kernel, tol=1e-3)
    made = replaced(model, "svd", (int(rank),))
    np.testing.assert_allclose(made([x, h]), model([x, h]), atol=1e-4)
    assert made.count_params() != model.count_params()


def test_vbmf_finds_the_rank_under_noise() -> None:
    rng = np.random.default_rng(0)
    for shape, rank, noise in [((60, 200), 5, 0.1), ((200, 60), 12, 0.3), ((64, 64), 8, 0.0)]:
        matrix = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))
        matrix += noise * rng.normal(size=shape)
        assert rank_above_noise(np.linalg.svd(matrix, compute_uv=False), shape) == rank
    noise_alone = np.linalg.svd(rng.normal(size=(50, 80)), compute_uv=False)
    assert rank_above_noise(noise_alone, (50, 80)) == 1
    assert rank_above_noise(np.zeros(4), (4, 4)) == 1


CURVES = st.lists(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=5),
    min_size=1,
    max_size=4,
)


@given(CURVES, st.integers(1, 150), st.integers(0, 20))
def test_of_all_choices_that_cost_what_is_asked_the_least_loss_is_taken(
    curves: list[list[tuple[int, int]]], most: int, slack: int
) -> None:
    costs = [np.array([c for c, _ in curve]) for curve in curves]
    losses = [np.array([float(loss) for _, loss in curve]) for curve in curves]
    chosen = allocated(costs, losses, most, slack)
    total = sum(cost[place] for cost, place in zip(costs, chosen, strict=True))
    lost = sum(loss[place] for loss, place in zip(losses, chosen, strict=True))
    every = [(sum(c for c, _ in one), sum(loss for _, loss in one)) for one in product(*curves)]
    inside = [loss for cost, loss in every if most - slack <= cost <= most]
    if inside:
        assert lost == min(inside)
    assert most - slack <= total <= most or not inside
    assert inside or abs(total - most) == min(abs(cost - most) for cost, _ in every)


def test_tails_are_what_is_left_out() -> None:
    np.testing.assert_allclose(tails(np.array([3.0, 1.0])), [1, 0.25, 0])
    np.testing.assert_allclose(tails(np.zeros(2)), [0, 0, 0])


def network() -> keras.Model:
    """Two convolutions, a shared dense layer, one that is grouped, and a small last one."""
    given = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="first")(given)
    x = layers.Conv2D(24, 3, padding="same", activation="relu", name="second")(x)
    x = layers.Conv2D(24, 3, padding="same", groups=4, name="grouped")(x)
    x = layers.MaxPooling2D(2)(x)
    dense = layers.Dense(24, activation="relu", name="shared")
    x = dense(dense(x))
    x = layers.GlobalAveragePooling2D()(x)
    return filled(keras.Model(given, layers.Dense(3, activation="softmax", name="classes")(x)))


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize(
    "kinds", [("svd",), ("spatial",), ("tucker",), ("cp",), ("svd", "spatial", "tucker", "cp")]
)
def test_what_is_asked_for_is_removed_and_no_more(
    tmp_path: Path, kinds: tuple[str, ...], ratio: float
) -> None:
    made, lent = lowered(network(), tmp_path, ratio=ratio, kinds=kinds)
    removed = 1 - count(made).macs / count(network()).macs
    assert removed == pytest.approx(ratio, abs=TOLERANCE)
    assert {told["kind"] for told in lent.facts["lowrank"].values()} <= set(kinds)
    assert "unmet" not in lent.facts
    of = lent.facts["asked"]["the multiply-accumulates"]
    assert (of["asked"], of["done"]) == (ratio, removed)


def test_what_no_ranks_remove_is_said_too_much_as_well_as_too_little(tmp_path: Path) -> None:
    given = keras.Input((6, 6, 4))
    model = filled(keras.Model(given, layers.Conv2D(4, 3, name="only")(given)))
    (site,), _ = sites(model)
    kind = KINDS["spatial"](site)
    shares = 1 - kind.costs[kind.costs < site.macs] / site.macs
    for ratio in (0.12, 0.3, 0.97):
        made, lent = lowered(model, tmp_path, ratio=ratio, kinds=("spatial",))
        removed = 1 - count(made).macs / site.macs
        assert abs(removed - ratio) == min(abs(shares - ratio))
        step = kind.costs[0] / site.macs
        assert ("unmet" in lent.facts) == (abs(removed - ratio) > max(TOLERANCE, step / 2))
    assert (
        "97.0% of the multiply-accumulates, 79.2% removed, 17.8 points less"
        in (lent.facts["unmet"])
    )
    with pytest.raises(ModelError, match="its smallest step removes more than was asked for"):
        lowered(model, tmp_path, ratio=0.01, kinds=("spatial",))


@pytest.mark.parametrize("data", [False, True])
def test_a_ratio_is_a_share_of_the_whole_model(tmp_path: Path, data: bool) -> None:
    model, ratio = network(), 0.3
    made, lent = lowered(model, tmp_path, ratio=ratio, data=data)
    removed = 1 - count(made).macs / count(model).macs
    assert removed == pytest.approx(ratio, abs=TOLERANCE)
    assert lent.facts["macs_removed"] == removed
    for told in lent.facts["lowrank"].values():
        assert told["macs"] < told["macs_before"]
    whole, parts = lent.notes[0], lent.notes[1 : 1 + len(lent.facts["lowrank"])]
    assert whole.startswith(f"layers that became chains: {len(parts)}; {count(model).macs:,} → ")
    assert all(note.endswith("of the kernel's squares lost") for note in parts)
    assert lent.notes[-1].startswith("left as they are: ")
    assert "grouped (its channels are in groups" in lent.notes[-1]
    assert made.output_names == model.output_names
    made.save(tmp_path / "made.keras")
    again = keras.models.load_model(tmp_path / "made.keras")
    x = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    np.testing.assert_allclose(again(x), made(x), atol=1e-6)


def test_what_stays_of_a_recurrent_layer_is_told(tmp_path: Path) -> None:
    model = filled(keras.Sequential([keras.Input((5, 40)), layers.GRU(4, name="rnn")]), rank=1)
    _, lent = lowered(model, tmp_path, energy=0.5)
    assert lent.notes[-1] == (
        "of rnn only the input kernel is factored: no plain Keras layer has a recurrent kernel "
        "that is a product"
    )


@pytest.mark.parametrize("name", ["rnn", "both"])
def test_a_recurrent_layer_is_chosen_by_its_name(tmp_path: Path, name: str) -> None:
    steps = keras.Input((6, 20))
    x = layers.LSTM(16, return_sequences=True, name="rnn")(steps)
    model = keras.Model(steps, layers.Bidirectional(layers.GRU(8, name="gru"), name="both")(x))
    _, lent = lowered(filled(model), tmp_path, energy=0.5, layers=(name,))
    assert list(lent.facts["lowrank"]) == [name]


def test_a_shared_layer_stays_shared(tmp_path: Path) -> None:
    made, _ = lowered(network(), tmp_path, energy=0.2, layers=("shared",))
    names = [layer.name for layer in made.layers]
    assert names.count("shared") == names.count("shared_rank") == 1
    assert len(made.get_layer("shared_rank")._inbound_nodes) == 2


@pytest.mark.parametrize("energy", [0.3, 0.6])
@pytest.mark.parametrize("kinds", [("spatial",), ("cp",), ("svd", "spatial", "tucker", "cp")])
def test_an_energy_is_kept_by_each_kernel(
    tmp_path: Path, energy: float, kinds: tuple[str, ...]
) -> None:
    _, lent = lowered(network(), tmp_path, energy=energy, kinds=kinds)
    assert lent.facts["lowrank"]
    for told in lent.facts["lowrank"].values():
        assert told["kind"] in kinds
        assert told["energy_lost"] <= 1 - energy + 1e-6
        assert told["macs"] < told["macs_before"]
    for site in sites(network())[0]:
        cheaper = [
            kind.factored(kind.ladder[kind.costs.searchsorted(told["macs"]) - 1])
            for kind in (KINDS[name](site) for name in kinds if KINDS[name].fits(site))
            if (told := lent.facts["lowrank"].get(site.path)) and kind.costs[0] < told["macs"]
        ]
        assert all(one.loss > 1 - energy - 0.05 for one in cheaper)


def test_ranks_above_the_noise_need_no_number(tmp_path: Path) -> None:
    model = filled(keras.Sequential([keras.Input((40,)), layers.Dense(50, name="one")]), rank=4)
    noise = np.random.default_rng(1).normal(0, 0.02, (40, 50))
    model.layers[0].kernel.assign_add(noise)
    _, lent = lowered(model, tmp_path, ratio="vbmf")
    assert lent.facts["lowrank"]["one"]["ranks"] == [4]


def test_ranks_above_the_noise_are_taken_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    model = keras.Sequential([keras.Input((9, 9, 24)), layers.Conv2D(32, 3, name="conv")])
    parts = rng.normal(size=(9, 3, 5)), rng.normal(size=(24, 3)), rng.normal(size=(32, 5))
    kernel = np.einsum("sjk,ij,ok->sio", *parts).reshape(3, 3, 24, 32)
    model.layers[0].set_weights([kernel + rng.normal(0, 2, kernel.shape), np.zeros(32)])
    _, lent = lowered(model, tmp_path, ratio="vbmf")
    told = lent.facts["lowrank"]["conv"]
    assert (told["kind"], told["ranks"]) == ("tucker", [3, 5])
    assert 0.1 < told["energy_lost"] < 0.5
    (site,), _ = sites(model)
    _, lent = lowered(model, tmp_path, ratio="vbmf", kinds=("svd", "spatial"))
    (rank,) = KINDS["svd"](site).above_noise()
    assert lent.facts["lowrank"]["conv"]["ranks"] == [rank]


def test_kernels_that_lose_more_than_half_are_named(tmp_path: Path) -> None:
    _, lent = lowered(network(), tmp_path, ratio="vbmf")
    lost = {path: told["energy_lost"] for path, told in lent.facts["lowrank"].items()}
    (note,) = (
        n for n in lent.notes if n.startswith("more than half of the kernel's squares lost: ")
    )
    assert {path for path in lost if path in note} == {p for p, x in lost.items() if x > 0.5}


def test_of_several_products_the_outputs_decide() -> None:
    model = filled(keras.Sequential([keras.Input((9, 9, 6)), layers.Conv2D(8, 3, name="conv")]))
    (site,), _ = sites(model)
    budget = site.macs // 3
    choice = Choice({site: within([KINDS[n](site) for n in ("spatial", "tucker", "cp")], budget)})
    assert len(choice.candidates[site]) == 3
    assert all(one.macs <= budget for one in choice.candidates[site])
    x = np.random.default_rng(3).normal(size=(4, 9, 9, 6)).astype("float32")
    chosen = by_outputs(model, choice, x)[site]
    errors = {
        one.kind.name: np.square(replaced(model, one.kind.name, one.ranks)(x) - model(x)).mean()
        for one in choice.candidates[site]
    }
    assert len({round(float(error), 3) for error in errors.values()}) == 3
    assert chosen.kind.name == min(errors, key=lambda name: errors[name])
    assert by_weights(choice)[site].loss == min(one.loss for one in choice.candidates[site])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "received none"),
        ({"ratio": 0.2, "energy": 0.9}, "received both"),
        ({"ratio": 1.0}, "must be a number above 0 and below 1 or vbmf; received 1.0"),
        ({"ratio": "vb"}, "received 'vb'"),
        ({"energy": 0}, "above 0 and at most 1"),
        ({"ratio": 0.2, "kinds": ("qr",)}, "must be one of svd, spatial, tucker, cp"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Lowrank.of(options)


def test_a_wrong_name_is_told_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    network().save(path)
    plan = Plan(facts(path), (), (), None, DeviceProfile("test"))
    with pytest.raises(UsageError, match="no layer is named 'secondd'") as told:
        list(Lowrank.of({"ratio": 0.2, "layers": "secondd"}).check(plan))
    assert "second" in told.value.hint
    (note,) = Lowrank.of({"ratio": 0.2, "layers": "dense"}).check(plan)
    assert "no training data" in note


def test_what_cannot_be_done_is_refused_in_words(tmp_path: Path) -> None:
    _, lent = lowered(network(), tmp_path, ratio=0.999)
    assert "asked for 99.9% of the multiply-accumulates" in lent.facts["unmet"]
    assert "points less; no ranks come nearer, and the layers that" in lent.facts["unmet"]
    with pytest.raises(ModelError, match=r"classes \(to keep 100% of its kernel"):
        lowered(network(), tmp_path, energy=1.0)
    with pytest.raises(UsageError, match="no layer is named 'secondd'"):
        lowered(network(), tmp_path, energy=0.9, layers=("secondd",))
    with pytest.raises(ModelError, match="no layer would compute less"):
        lowered(keras.Sequential([keras.Input((4,)), layers.Dense(1)]), tmp_path, energy=0.9)


def test_the_methods_declare_well_and_do_their_work() -> None:
    check_light("edgeshrink_lowrank")
    check_method(Lowrank, {"ratio": 0.3, "kinds": ("svd", "tucker")})
