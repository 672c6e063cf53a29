"""What single layers bear: models of which the answer is known, the table, and what is chosen."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgeshrink import cli
from edgeshrink.api import (
    Changed,
    Context,
    Effect,
    LayerChange,
    Method,
    Phase,
    Score,
    Sensitivity,
    SensitivityReport,
    Strengths,
    UsageError,
    bearable,
    hookimpl,
)
from edgeshrink.cli.display.sensitivity import show_sensitivity
from edgeshrink.cli.display.tables import console
from edgeshrink.engine import SensitivityRequest, sensitivity
from edgeshrink.nn import channel_graph, narrowed
from edgeshrink.plugins import Plugins, installed
from edgeshrink.results import most_sensitive_first
from edgeshrink.testing import tiny_model
from edgeshrink.testing.methods import check_by_layer
from edgeshrink.testing.running import outputs
from edgeshrink_lowrank import Lowrank
from edgeshrink_lowrank.chains import chain
from edgeshrink_lowrank.choosing import KINDS, within
from edgeshrink_lowrank.sites import sites
from edgeshrink_prune import Prune
from edgeshrink_prune.kernels import in_scope
from edgeshrink_quantize.mixed.precision import Mixed
from edgeshrink_shrink import Shrink

layers = keras.layers
CHANGING = [Prune, Lowrank, Shrink, Mixed]
SMALL = 1e-6  # of divergences: rounding of floats


def known_model() -> keras.Model:
    """A classifier with a layer that is ignored, one of rank 1, and one with channels of zero."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 2), name="image")
    x = layers.Conv2D(8, 3, activation="relu", padding="same", name="half_dead")(image)
    x = layers.Conv2D(8, 3, activation="relu", padding="same", name="rank_one")(x)
    x = layers.Flatten()(x)
    heard = layers.Add()([layers.Dense(6, name="heard")(x), layers.Dense(6, name="beside")(x)])
    x = layers.Concatenate()([heard, layers.Dense(6, name="ignored")(x)])
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="classes")(x))
    random = np.random.default_rng(0)
    weights, bias = model.get_layer("classes").get_weights()
    weights[6:] = 0
    model.get_layer("classes").set_weights([weights, bias])
    half_dead, rank_one = model.get_layer("half_dead"), model.get_layer("rank_one")
    kernel = random.normal(size=half_dead.kernel.shape).astype("float32")
    kernel[..., ::2] = 0
    half_dead.kernel.assign(kernel)
    down, right, inputs, made = (random.normal(size=n) for n in (3, 3, 8, 8))
    rank_one.kernel.assign(0.3 * np.einsum("h,w,i,o->hwio", down, right, inputs, made))
    return model


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sensitivity]:
    """What the layers of the known model bear, on made-up inputs."""
    path = tmp_path_factory.mktemp("known") / "known.keras"
    known_model().save(path)
    report = sensitivity(SensitivityRequest(path), installed())
    assert report.synthetic
    assert report.score is None
    return {layer.layer: layer for layer in report.layers}


def moved(layer: Sensitivity, method: type[Method]) -> list[float]:
    return [effect.divergence for effect in layer.of(method.name)]


@pytest.mark.heavy
def test_a_layer_that_is_ignored_bears_everything(found: dict[str, Sensitivity]) -> None:
    for method in (Prune, Lowrank, Mixed):
        assert len(moved(found["ignored"], method)) == 3
        assert max(moved(found["ignored"], method)) < SMALL
        assert max(moved(found["heard"], method)) > 1e-3
    assert list(found)[-1] == "ignored"


@pytest.mark.heavy
def test_a_layer_of_rank_one_bears_low_rank_and_no_zeros(found: dict[str, Sensitivity]) -> None:
    assert max(moved(found["rank_one"], Lowrank)) < SMALL
    assert min(moved(found["heard"], Lowrank)) > SMALL
    assert moved(found["rank_one"], Prune)[-1] > 1e-3


@pytest.mark.heavy
def test_channels_of_zero_may_go_and_others_may_not(found: dict[str, Sensitivity]) -> None:
    a_quarter, half, more = moved(found["half_dead"], Shrink)
    assert a_quarter < SMALL
    assert half < SMALL
    assert more > 1e-3
    # half of the weights are zero, and are no saving; of 9 * 2 * 8 three quarters are
    saved = [effect.bytes_saved for effect in found["half_dead"].of("prune")]
    assert saved == [0, 4 * 36, 4 * (130 - 72)]


@pytest.mark.heavy
def test_layers_that_share_channels_are_one_row(found: dict[str, Sensitivity]) -> None:
    row = found["heard+beside"]
    assert {effect.method for effect in row.effects} == {"shrink"}
    assert row.parameters == 2 * (512 * 6 + 6)
    assert row.effect("shrink", 0.5).bytes_saved == 4 * (3 * 2 * 513 + 3 * 4)
    assert row.effect("shrink", 0.5).macs_saved == 3 * 2 * 512 + 3 * 4


@pytest.mark.heavy
@pytest.mark.parametrize("method", CHANGING)
def test_what_methods_say_of_single_layers_keeps_the_rules(method: type[Method]) -> None:
    check_by_layer(method)


def with_weights(changed: Changed, inputs: np.ndarray) -> np.ndarray:
    before = [np.array(variable) for variable, _ in changed.weights]
    for variable, values in changed.weights:
        variable.assign(values)
    made = outputs(changed.model, inputs)
    for (variable, _), values in zip(changed.weights, before, strict=True):
        variable.assign(values)
    return made


@pytest.mark.heavy
def test_a_model_with_channels_at_zero_answers_as_the_narrower_one() -> None:
    model = known_model()
    inputs = np.random.default_rng(1).normal(size=(5, 8, 8, 2)).astype("float32")
    graph = channel_graph(model)
    (change,) = (c for c in Shrink.by_layer(model) if c.layer == "rank_one")
    changed = change.changed(0.5)
    kernel = next(v for v, values in changed.weights if len(values.shape) == 4)
    gone = np.flatnonzero(~dict((id(v), w) for v, w in changed.weights)[id(kernel)].any((0, 1, 2)))
    (axis,) = (a for a in graph.axes_of(model.get_layer("rank_one").kernel) if a.role == "outputs")
    removed = np.zeros(graph.numbers, bool)
    removed[axis.ids[gone]] = True
    assert removed.sum() == 4
    narrow = narrowed(graph, removed)
    np.testing.assert_allclose(with_weights(changed, inputs), outputs(narrow, inputs), atol=1e-6)
    saved = model.count_params() - narrow.count_params()
    assert changed.bytes_saved == 4 * saved


@pytest.mark.heavy
@pytest.mark.parametrize("strides", [1, 2])
def test_a_kernel_of_lower_rank_answers_as_the_chain_would(strides: int) -> None:
    keras.utils.set_random_seed(1)
    image = keras.Input((9, 8, 4))
    conv = layers.Conv2D(6, 3, strides=strides, padding="same", name="conv")
    model = keras.Model(image, conv(image))
    inputs = np.random.default_rng(1).normal(size=(3, 9, 8, 4)).astype("float32")
    (change,) = Lowrank.by_layer(model)
    for strength in Lowrank.strengths.values:
        changed = change.changed(strength)
        assert changed.macs_saved >= strength * 9 * 4 * 6 * -(-9 // strides) * -(-8 // strides)
        (site,) = sites(model)[0]
        kinds = [KINDS[name](site) for name in ("svd", "spatial", "tucker")]
        best = min(within(kinds, int((1 - strength) * site.macs)), key=lambda one: one.loss)
        made = keras.Model(image, chain(conv, "conv", best)(image))
        np.testing.assert_allclose(with_weights(changed, inputs), outputs(made, inputs), atol=1e-5)
        assert changed.bytes_saved == 4 * (model.count_params() - made.count_params())


@pytest.mark.heavy
def test_recurrent_layers_are_named_as_the_options_for_layers_take_them() -> None:
    steps = keras.Input((6, 20))
    x = layers.GRU(16, return_sequences=True, name="first")(steps)
    x = layers.Bidirectional(layers.GRU(8, return_sequences=True), name="both")(x)
    model = keras.Model(steps, layers.Dense(3, name="last")(layers.GRU(8, name="second")(x)))
    found = {one.name: [change.layer for change in one.by_layer(model)] for one in CHANGING}
    assert found["prune"] == ["first", "both", "second", "last"]
    assert found["lowrank"] == ["first", "both", "second", "last"]
    assert found["mixed"] == ["last"]
    assert found["shrink"] == ["first", "both", "second"]
    assert len(in_scope(model, ("first", "both"))) == 2 + 4


@pytest.mark.heavy
@pytest.mark.parametrize("method", [Prune, Lowrank])
def test_layers_of_one_name_in_nested_models_are_changed_together(method: type[Method]) -> None:
    def nested(name: str) -> keras.Model:
        inside = keras.Input((12,))
        return keras.Model(inside, layers.Dense(12, name="dense")(inside), name=name)

    given = keras.Input((12,))
    model = keras.Model(given, nested("second")(nested("first")(given)))
    (change,) = method.by_layer(model)
    assert change.layer == "dense"
    assert len(change.changed(0.5).weights) == 2


# --- what others add ---


class Louder(Method):
    """Multiply the weights of layers."""

    name, title, phase = "louder", "Louder", Phase.PRUNE
    strengths = Strengths("times", (1, 100, math.inf))

    def apply(self, model: Any, context: Context) -> Any:
        return model

    @classmethod
    def by_layer(cls, model: Any) -> Sequence[LayerChange]:
        kernel = model.get_layer("classes").kernel
        return [LayerChange("classes", lambda s: Changed(model, [(kernel, s * kernel.numpy())]))]


class Broken(Louder):
    """Give weights of another shape."""

    name = "broken"

    @classmethod
    def by_layer(cls, model: Any) -> Sequence[LayerChange]:
        kernel = model.get_layer("classes").kernel
        return [LayerChange("classes", lambda s: Changed(model, [(kernel, kernel.numpy()[1:])]))]


class Added:
    @hookimpl
    def edgeshrink_methods(self) -> list[type[Method]]:
        return [Louder]


@pytest.mark.heavy
def test_a_method_of_another_plugin_joins_by_declaring_strengths(tmp_path: Path) -> None:
    tiny_model().save(tmp_path / "tiny.keras")
    plugins = Plugins(entry_points(group="edgeshrink"))
    plugins.register(Added(), "added")
    asked = SensitivityRequest(tmp_path / "tiny.keras", methods=("louder",))
    report = sensitivity(asked, plugins)
    (row,) = report.layers
    assert [effect.strength for effect in row.effects] == [1, 100, math.inf]
    assert moved(row, Louder)[0] == 0 < moved(row, Louder)[1]
    # nothing is a number then
    assert moved(row, Louder)[2] == math.inf
    assert row.effects[2].agreement is None
    assert report.methods == {"louder": Louder.strengths}


def test_the_kit_refuses_weights_of_another_shape() -> None:
    with pytest.raises(AssertionError, match=r"broken of classes at 1: \(15, 3\) values for"):
        check_by_layer(Broken)


# --- what is chosen by it ---


def effect(strength: float, score: float | None, agreement: float | None = 0.9) -> Effect:
    return Effect("prune", strength, 0, 0, 1 - (agreement or 0), agreement, score)


def report(score: Score | None, *rows: Sequence[Effect]) -> SensitivityReport:
    methods = {"prune": Strengths("zeros", (0.5, 0.9))}
    own = {f"layer{n}": Sensitivity(f"layer{n}", 10, tuple(row)) for n, row in enumerate(rows)}
    found = most_sensitive_first(own, methods)
    return SensitivityReport("m.keras", 100, False, score, methods, found)


TOP1 = Score("top1", 0.9, 0.85, 0.95, 100, True)


def test_the_greatest_strength_within_a_drop_is_bearable() -> None:
    found = report(
        TOP1,
        [effect(0.5, 0.89), effect(0.9, 0.7, 0.5)],
        [effect(0.5, 0.9), effect(0.9, 0.895)],
        [effect(0.5, 0.5), effect(0.9, 0.9)],  # by chance: half as strong costs too much
    )
    assert bearable(found, "prune", 1) == {"layer1": 0.9, "layer0": 0.5}
    assert list(bearable(found, "prune", 1)) == ["layer1", "layer0"]
    assert bearable(found, "prune", 0) == {"layer1": 0.5}


def test_an_error_is_borne_as_long_as_it_grows_no_more() -> None:
    error = replace(TOP1, metric="mae", value=2.0, higher_is_better=False)
    found = report(error, [effect(0.5, 2.4), effect(0.9, 2.6)])
    assert bearable(found, "prune", 0.5) == {"layer0": 0.5}
    assert bearable(found, "prune", 0.1) == {}


def test_a_layer_whose_change_breaks_the_model_bears_nothing() -> None:
    broken = Effect("prune", 0.5, 0, 0, math.inf, None, None)
    found = report(TOP1, [broken], [effect(0.5, 0.9)])
    assert [row.layer for row in found.layers] == ["layer0", "layer1"]
    assert bearable(found, "prune", 100) == {"layer1": 0.5}


def test_without_labels_agreement_is_what_drops() -> None:
    found = report(None, [effect(0.5, None, 0.99), effect(0.9, None, 0.9)])
    assert bearable(found, "prune", 2) == {"layer0": 0.5}
    with pytest.raises(UsageError, match=r"nothing tells what m\.keras loses"):
        bearable(report(None, [effect(0.5, None, None)]), "prune", 1)


@pytest.mark.parametrize(
    ("method", "drop", "said"),
    [("prun", 1, "'prun' was not tried on m.keras"), ("prune", -1, "a drop must be a number")],
)
def test_what_cannot_be_chosen_by_is_refused(method: str, drop: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        bearable(report(TOP1, [effect(0.5, 0.9)]), method, drop)


def test_the_layers_that_move_answers_most_come_first_whatever_the_unit() -> None:
    methods = {"prune": Strengths("zeros", (0.5,)), "mixed": Strengths("bits", (4,))}
    told = {"a": (1.0, 0.0), "b": (0.5, 1e-3), "c": (0.0, 1e-4)}
    own = {
        name: Sensitivity(
            name,
            1,
            (
                Effect("prune", 0.5, 0, 0, zeros, None, None),
                Effect("mixed", 4, 0, 0, bits, None, None),
            ),
        )
        for name, (zeros, bits) in told.items()
    }
    assert [row.layer for row in most_sensitive_first(own, methods)] == ["b", "a", "c"]


# --- the command ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and data."""
    folder = tmp_path_factory.mktemp("sensitivity")
    tiny_model().save(folder / "tiny.keras")
    rng = np.random.default_rng(0)
    np.savez(
        folder / "data.npz",
        x_train=rng.random((200, 8, 8, 1), "float32"),
        y_train=rng.integers(0, 3, 200),
        x_test=rng.random((20, 8, 8, 1), "float32"),
        y_test=rng.integers(0, 3, 20),
    )
    return folder


def run(folder: Path, *argv: str) -> int:
    with contextlib.chdir(folder):
        return cli.run(["sensitivity", "tiny.keras", "--data", "data.npz", *argv])


@pytest.mark.heavy
def test_the_table_is_json_and_csv_with_the_most_sensitive_layer_first(
    folder: Path, capfd: pytest.CaptureFixture
) -> None:
    assert run(folder, "--method", "prune, mixed", "-o", "table.csv", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["samples"] == 20
    assert not found["synthetic"]
    assert list(found["methods"]) == ["prune", "mixed"]
    assert {layer["layer"] for layer in found["layers"]} == {"conv", "hidden", "classes"}
    model = tiny_model()
    for layer in found["layers"]:
        assert layer["parameters"] == model.get_layer(layer["layer"]).count_params()
        told = [(effect["method"], effect["strength"]) for effect in layer["effects"]]
        expected = [("prune", 0.5), ("prune", 0.75), ("prune", 0.9)]
        assert told == [*expected, ("mixed", 8), ("mixed", 4), ("mixed", 2)]
        assert all(0 <= e["agreement"] <= 1 and 0 <= e["score"] <= 1 for e in layer["effects"])
    lines = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert len(lines) == 3 * 6
    first = found["layers"][0]
    assert (lines[0]["layer"], lines[0]["method"]) == (first["layer"], "prune")
    assert float(lines[0]["divergence"]) == first["effects"][0]["divergence"]


@pytest.mark.heavy
def test_a_figure_has_a_chart_for_each_method(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    assert run(folder, "--method", "prune", "--method", "mixed", "-o", "figure.svg") == 0
    text = (folder / "figure.svg").read_text()
    assert text.startswith("<svg")
    assert text.count('id="axes_') == 2


@pytest.mark.heavy
def test_the_page_of_one_method_has_its_table(folder: Path) -> None:
    assert run(folder, "--method", "shrink", "-o", "page.html") == 0
    text = (folder / "page.html").read_text()
    assert "<h2>shrink: channels of the layers that go</h2>" in text
    assert "<td>hidden</td><td>25\u00a0%</td>" in text


@pytest.mark.heavy
def test_a_method_that_can_change_nothing_is_left_out_and_named_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.Input((4,)), layers.Dense(3, name="only")]).save("one.keras")
    assert cli.run(["sensitivity", "one.keras", "--json"]) == 0
    told = capfd.readouterr()
    assert list(json.loads(told.out)["methods"]) == ["lowrank", "prune", "mixed"]
    assert "warning: shrink was not tried: nothing can shrink" in told.err
    assert cli.run(["sensitivity", "one.keras", "--method", "shrink"]) == 1
    assert "error: shrink: nothing can shrink" in capfd.readouterr().err


def test_a_picture_without_matplotlib_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ("edgeshrink_reports.layers", "edgeshrink_reports.plot"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.run(["sensitivity", "m.keras", "-o", "figure.png"]) == 2
    said = capsys.readouterr().err
    assert "error: a .png is drawn by matplotlib, which is not installed" in said
    assert "pip install" in said


@pytest.mark.heavy
def test_figures_leave_out_what_is_not_finite() -> None:
    pytest.importorskip("matplotlib")
    broken = Effect("prune", 0.9, 0, 0, math.inf, None, None)
    found = report(TOP1, [effect(0.5, 0.89), broken])
    made = {
        suffix: installed().hook.edgeshrink_sensitivity_figure(suffix=suffix)(found)
        for suffix in (".svg", ".png", ".html")
    }
    assert made[".png"].startswith(b"\x89PNG")
    assert made[".svg"] in made[".html"]
    assert made[".html"].decode().count("<td>layer0</td>") == 2


def test_several_methods_are_one_table_and_what_to_do_is_told(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    methods = {name: one.strengths for name, one in installed().methods.items() if one.strengths}
    effects = tuple(
        Effect(name, value, 10, 20, 0.1, 0.9, 0.88)
        for name, own in methods.items()
        for value in own.values
    )
    rows = (Sensitivity("conv", 10, effects), Sensitivity("dense", 10, effects[:3]))
    show_sensitivity(SensitivityReport("m.keras", 100, False, TOP1, methods, rows), to=console())
    out = capsys.readouterr().out
    said = " ".join(out.split())
    assert "m.keras on 100 validation samples; top1 is 90.00 %" in said
    assert sum(line.startswith("dense ") for line in out.splitlines()) == 1
    assert "shown: top1 change in points" in said
    for flags in (
        "--prune-layers NAMES",
        "--lowrank-layers NAMES",
        "--shrink-layers NAMES",
        "--mixed-bytes N",
        "--int4-keep conv",
    ):
        assert flags in said


def test_the_advice_names_flags_that_exist() -> None:
    known = {
        "--" + key.replace("_", "-")
        for method in installed().methods.values()
        for key in method.flag_keys()
    }
    for method in CHANGING:
        named = {word for word in method.strengths.advice.split() if word.startswith("--")}
        assert named
        assert named <= known


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["m.keras", "-o", "table.txt"], "-o must end in one of .csv, .json, .svg, .png, .html;"),
        (["m.json", "-o", "m.json"], "-o would overwrite m.json"),
        (["m.keras", "-o", "no/t.csv"], "no folder 'no' to write no/t.csv to"),
        (["missing.keras"], "no model file 'missing.keras'"),
        (["m.keras", "--method", "lowrnk"], "--method: 'lowrnk' is not known"),
        (["m.keras", "--method", "prune,strip"], "--method: 'strip' changes no single layers"),
    ],
)
def test_mistakes_are_told_before_any_work(
    argv: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert cli.run(["sensitivity", *argv]) == 2
    assert f"error: {said}" in capsys.readouterr().err


def test_a_misspelt_method_gets_a_hint(capsys: pytest.CaptureFixture) -> None:
    assert cli.run(["sensitivity", "m.keras", "--method", "lowrnk"]) == 2
    assert "did you mean 'lowrank'?" in capsys.readouterr().err
