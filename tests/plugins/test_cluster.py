"""Clustering: k-means of numbers, few values a kernel, and as few codes in the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

import edgeshrink as package
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import ModelError, UsageError, VerificationError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.nn.conversion.pairing import pairs
from edgeshrink.nn.conversion.verification import check_clusters
from edgeshrink.nn.learning.weight_sharing import (
    channel_rows,
    shares_but_for_scales,
    shares_tensors,
)
from edgeshrink.plugins import installed
from edgeshrink.recipes.method import Method, Plan
from edgeshrink.testing import check_method, tiny_data, tiny_model
from edgeshrink.testing.running import context
from edgeshrink.tflite.reader import constant_values, read_model
from edgeshrink_cluster import Cluster
from edgeshrink_cluster.kmeans import STARTS, kmeans
from edgeshrink_pack import Pack
from edgeshrink_prune import Prune

layers = keras.layers
FLOATS = st.floats(-100, 100, width=32)


def kernels(model: keras.Model) -> dict[str, np.ndarray]:
    return {v.path: np.asarray(v) for v in model.trainable_variables if len(v.shape) > 1}


def clustered(model: keras.Model, folder: Path, *, data: bool = False, **options: object) -> tuple:
    step = Cluster.of(options)
    lent = context(step, model, model, tiny_data() if data else None, folder)
    return step.apply(model, lent), lent


@given(
    arrays.arrays("float32", st.integers(1, 200), elements=FLOATS),
    st.integers(1, 12),
    st.sampled_from(sorted(STARTS)),
)
def test_kmeans_gives_each_value_the_nearest_of_few(
    values: np.ndarray, count: int, init: str
) -> None:
    found = kmeans(values, count, init, np.random.default_rng(0))
    assert found.shape == values.shape
    assert found.dtype == values.dtype
    book = np.unique(found)
    assert len(book) <= count
    nearest = np.abs(values[:, None] - book).min(axis=1)
    np.testing.assert_allclose(np.abs(values - found), nearest, atol=1e-4)
    order = np.argsort(values)
    assert (np.diff(found[order]) >= 0).all()
    one = values.astype("float64").mean()  # no worse than one value for all
    assert np.square(values - found).sum() <= np.square(values - one).sum() * 1.001 + 1e-3


@pytest.mark.parametrize("init", sorted(STARTS))
@pytest.mark.parametrize("count", [16, 64, 255])
def test_as_many_values_come_of_kmeans_as_are_asked_for(init: str, count: int) -> None:
    values = np.random.default_rng(0).laplace(size=2000).astype("float32")
    assert len(np.unique(kmeans(values, count, init, np.random.default_rng(0)))) == count
    few = np.repeat(np.arange(9.0), 3)
    np.testing.assert_array_equal(kmeans(few, count, init, np.random.default_rng(0)), few)


@pytest.mark.parametrize("init", ["linear", "density", "kmeans++"])
def test_kmeans_finds_clusters_that_are_there(init: str) -> None:
    rng = np.random.default_rng(3)
    middles = np.array([-4.0, -1, 2, 7])
    values = (middles[:, None] + rng.normal(0, 0.01, (4, 300))).ravel()
    found = np.unique(kmeans(values, 4, init, np.random.default_rng(5)))
    np.testing.assert_allclose(found, middles, atol=0.01)


def test_starts_are_what_they_are_called() -> None:
    ordered = np.array([0.0, 0, 0, 0, 1, 1, 1, 9])
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(STARTS["linear"](ordered, 4, rng), [0, 3, 6, 9])
    np.testing.assert_allclose(
        STARTS["density"](ordered, 4, rng), np.quantile(ordered, [1 / 8, 3 / 8, 5 / 8, 7 / 8])
    )
    assert set(STARTS["kmeans++"](ordered, 3, rng)) == {0, 1, 9}
    assert set(STARTS["random"](ordered, 5, rng)) <= {0, 1, 9}


def test_values_are_shared_and_zeros_kept(tmp_path: Path) -> None:
    before = kernels(tiny_model(zeros=True))
    made, lent = clustered(tiny_model(zeros=True), tmp_path, clusters=4)
    after = kernels(made)
    assert [len(np.unique(v)) for v in after.values()] == [4, 4, 4]
    for old, new in zip(before.values(), after.values(), strict=True):
        assert ((old == 0) == (new == 0)).all()
    assert lent.facts["clusters"] == 4
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in made.layers)


def test_shared_values_are_trained(tmp_path: Path) -> None:
    model = tiny_model(zeros=True)
    once, _ = clustered(model, tmp_path, clusters=3)
    made, lent = clustered(model, tmp_path, data=True, clusters=3)
    assert [len(np.unique(v)) for v in kernels(made).values()] == [3, 3, 3]
    for first, trained in zip(kernels(once).values(), kernels(made).values(), strict=True):
        assert ((first == 0) == (trained == 0)).all()
        assert not np.allclose(first, trained)
    assert lent.evaluate(made) >= lent.evaluate(once)


def test_a_codebook_for_each_channel(tmp_path: Path) -> None:
    made, _ = clustered(tiny_model(), tmp_path, data=True, clusters=2, scope="channel")
    for path, values in kernels(made).items():
        assert [len(np.unique(row)) for row in channel_rows(values, (-1,))] == [2] * values.shape[
            -1
        ]
        assert len(np.unique(values)) > 2, path


def test_a_kernel_that_is_almost_empty_is_left(tmp_path: Path) -> None:
    """Its few weights would have a value each, and train freely."""
    model = tiny_model()
    kernel = model.get_layer("hidden").kernel
    kernel.assign(np.where(np.arange(1024).reshape(kernel.shape) < 40, kernel, 0))
    made, lent = clustered(model, tmp_path, data=True, clusters=15)
    assert lent.facts["clusters"] <= 15
    assert lent.notes[-1].endswith("for each of 15 values: conv/kernel, hidden/kernel")
    assert np.count_nonzero(made.get_layer("hidden").kernel) == 40


def test_small_kernels_are_left_and_said(tmp_path: Path) -> None:
    made, lent = clustered(tiny_model(), tmp_path, clusters=16)
    assert len(np.unique(made.get_layer("conv").kernel)) == 36
    assert len(np.unique(made.get_layer("hidden").kernel)) == 16
    assert lent.notes == [
        "kernels with at most 16 distinct values: 2",
        "left alone, with fewer than 3 weights other than zero for each of 16 values: conv/kernel",
    ]
    with pytest.raises(ModelError, match="no kernel has 768 weights"):
        clustered(tiny_model(), tmp_path, clusters=256, layers=("conv",))


@pytest.mark.parametrize("count", [-1, 0, 1, 257, 2.5])
def test_a_count_that_means_nothing_is_refused(count: float) -> None:
    with pytest.raises(UsageError, match="clusters"):
        Cluster.of({"clusters": count})


def test_more_values_than_there_are_weights_for_are_refused_before_the_work() -> None:
    base = ModelFacts(Kind.KERAS, weights_bytes=4 * 100)
    plan = Plan(base, (), (), None, DeviceProfile("test"))
    with pytest.raises(UsageError, match="100 weights, too few to share 34 values"):
        list(Cluster.of({"clusters": 34}).check(plan))
    assert "no training data" in next(iter(Cluster.of({"clusters": 33}).check(plan)))
    # where codes are stored, the bytes do not tell how many weights there are
    coded = replace(plan, base=replace(base, quantized=("int4",)))
    assert list(Cluster.of({"clusters": 34}).check(coded))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("method", [Cluster.of({"clusters": 16}), Prune.of({"sparsity": 0.5})])
def test_that_the_file_on_disk_stays_as_large_is_said_only_where_nothing_packs_it(
    method: Method, packed: bool
) -> None:
    after = (Pack.of({}),) if packed else ()
    base = ModelFacts(Kind.KERAS, weights_bytes=100_000)
    told = " ".join(method.check(Plan(base, (), after, None, DeviceProfile("test"))))
    assert "not faster" in told
    assert ("not smaller on disk" in told) == (not packed)


def test_layers_are_named_or_of_a_kind(tmp_path: Path) -> None:
    made, _ = clustered(tiny_model(), tmp_path, clusters=4, layers=("dense",))
    few = {path.split("/")[0] for path, v in kernels(made).items() if len(np.unique(v)) <= 4}
    assert few == {"hidden", "classes_linear"}
    with pytest.raises(UsageError, match="no layer is named 'hiden'"):
        clustered(tiny_model(), tmp_path, clusters=4, layers=("hiden",))


def test_the_method_is_one() -> None:
    check_method(Cluster, {"clusters": 4})


def codes(data: bytes, least: int) -> list[int]:
    """Return how many codes each 8-bit weight has, and check that it has one scale."""
    found = []
    for tensor in read_model(data).tensors:
        weight = tensor.constant and tensor.dtype == "int8" and len(tensor.shape) > 1
        if weight and tensor.elements >= least:
            assert len(tensor.scales) == 1
            found.append(len(np.unique(constant_values(data, tensor))))
    return found


@pytest.mark.heavy
@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_integers_have_as_few_codes_as_there_are_clusters(tmp_path: Path, precision: str) -> None:
    """The granularity is left to the step; a batch norm was behind the convolution."""
    model, _ = clustered(tiny_model(zeros=True), tmp_path, clusters=4)
    step = installed().methods[precision].of({})
    assert "clusters" in step.keeps
    data = step.apply(model, context(step, model, model, tiny_data(), tmp_path))
    found = codes(data, 36)
    assert len(found) == 3
    assert max(found) <= 4
    check_clusters(model, data)


@pytest.mark.slow
def test_the_whole_chain_ends_in_few_codes(
    tmp_path: Path, digits: Path, digits_model: Path
) -> None:
    out = tmp_path / "small.tflite"
    report = package.compress(
        digits_model,
        output=out,
        prune=0.6,
        prune_epochs=2,
        cluster=6,
        cluster_epochs=2,
        int8=True,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
    )
    found = codes(out.read_bytes(), 24)
    assert len(found) == 4
    assert max(found) <= 6
    final = report.ledger.rows[-1]
    assert final.facts["clusters"] == 6
    assert final.scores[0].value > 0.8


def test_codes_that_parted_are_found(tmp_path: Path) -> None:
    model, _ = clustered(tiny_model(), tmp_path, clusters=16)
    wants = {
        grain: Conversion(weights="int8", per_channel=grain == "channel")
        for grain in ("tensor", "channel")
    }
    made = convert(model, wants, tmp_path)
    check_clusters(model, made["tensor"])
    with pytest.raises(VerificationError, match="shared values must stay shared"):
        check_clusters(model, made["channel"])


def test_16_bit_floats_have_as_few_values_as_there_are_clusters(tmp_path: Path) -> None:
    """So many that a processor's own instructions sort them."""
    x = keras.Input((96,), name="x")
    model = keras.Model(x, layers.Dense(128, name="wide")(x))
    values = np.linspace(-0.9, -0.1, 8).astype("float32")
    drawn = np.random.default_rng(0).choice(values, (96, 128))
    model.get_layer("wide").kernel.assign(drawn)
    data = convert(model, {"fp16": Conversion(weights="float16")}, tmp_path)["fp16"]
    ((kernel, codes),) = (part for pair in pairs(model, data) for part in pair.by_tensor)
    assert len(np.unique(kernel)) == len(np.unique(codes)) == 8
    check_clusters(model, data)


def test_each_gate_of_a_fused_lstm_has_codes_of_its_own(tmp_path: Path) -> None:
    """The file holds a kernel's four gates in a tensor each, and each has a scale of its own."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8), name="x")
    plain = keras.Model(x, layers.LSTM(16, name="lstm")(x))
    model, _ = clustered(plain, tmp_path, clusters=16)
    rng = np.random.default_rng(0)
    inputs = {model.inputs[0].name: rng.normal(size=(16, 8, 8)).astype("float32")}
    wanted = {"int8": Conversion(activations="int8", weights="int8")}
    data = convert(model, wanted, tmp_path, inputs)["int8"]
    parted = [pair for pair in pairs(model, data) if pair.tensors == 4]
    assert len(parted) == 2
    assert any(len(np.unique(pair.codes)) > 16 for pair in parted)
    assert all(len(np.unique(codes)) <= 16 for pair in parted for _, codes in pair.by_tensor)
    check_clusters(model, data)


def test_what_shared_values_buy_on_an_npu_is_said() -> None:
    gains = {"shared_values": ("download", "flash")}
    npu = DeviceProfile("npu", accelerator="npu", compiled=True, pays=gains)
    plan = Plan(ModelFacts(Kind.KERAS), (), (), tiny_data(), npu)
    assert list(Cluster.of({"clusters": 16}).check(plan)) == [
        "on npu, shared values make the file smaller to download and smaller in flash, not less to "
        "compute"
    ]


def test_channels_scale_one_codebook_and_have_few_codes_in_8_bits(tmp_path: Path) -> None:
    model = tiny_model(zeros=True)
    for variable in model.trainable_variables:  # channels of very different size
        if len(variable.shape) > 1:
            variable.assign(variable * np.geomspace(0.01, 1, variable.shape[-1]))
    made, lent = clustered(model, tmp_path, data=True, clusters=6, scope="scaled")
    assert lent.facts["clusters"] == 6
    assert "distinct values but for a scale of each channel: 3" in " ".join(lent.notes)
    for path, kernel in kernels(made).items():
        assert len(np.unique(kernel)) > 6, path
    wants = {
        "float": Conversion(),
        "channel": Conversion(weights="int8"),
        "tensor": Conversion(weights="int8", per_channel=False),
    }
    files = convert(made, wants, tmp_path)
    check_clusters(made, files["channel"])
    found = [pair.codes for pair in pairs(made, files["channel"]) if pair.codes.dtype == np.int8]
    assert [len(np.unique(codes)) for codes in found] == [6]  # small kernels stay in float
    check_clusters(made, files["float"])
    with pytest.raises(VerificationError, match="had 6 distinct values"):
        check_clusters(made, files["tensor"])


@pytest.mark.parametrize("last", [1, 2])
def test_kernels_of_few_channels_do_not_part_the_values_of_others(
    tmp_path: Path, last: int
) -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8), name="x")
    x = layers.Flatten()(given)
    for size in (64, 32, last):
        x = layers.Dense(size)(x)
    model = keras.Model(given, x)
    made, _ = clustered(model, tmp_path, clusters=8, scope="scaled")
    assert shares_but_for_scales(made)
    assert not shares_tensors(made)
    check_clusters(made, convert(made, {"int8": Conversion(weights="int8")}, tmp_path)["int8"])


def test_how_many_values_channels_may_scale(digits_model: str) -> None:
    for count in (3, 129):
        with pytest.raises(UsageError, match="takes 4 to 128 values, received"):
            package.compress(digits_model, output="x.tflite", cluster=count, cluster_scope="scaled")
