"""Compressing end to end, on real networks and real data, through the public function."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from paths import LEGACY

import edgeshrink as package
from edgeshrink import cli
from edgeshrink.api import hookimpl
from edgeshrink.engine.planning.request import default_out
from edgeshrink.engine.running.forecast import Forecast, within
from edgeshrink.errors import DataError, UsageError
from edgeshrink.plugins import installed
from edgeshrink.recipes import Recipe
from edgeshrink.results.report import Report
from edgeshrink.tflite.reader import read_model

layers = keras.layers
SCALE = {"preprocess": "scale=1/16", "rules": "smoke"}
SHORT = {"epochs": 3, **SCALE}


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, digits: Path, digits_model: Path
) -> tuple[Report, Path]:
    """One whole run: pruned, quantized, stripped."""
    out = tmp_path_factory.mktemp("whole") / "small.tflite"
    report = package.compress(
        digits_model, output=out, prune=0.7, int8=True, data=str(digits), **SHORT
    )
    return report, out


@pytest.mark.heavy
def test_the_ledger_has_a_row_a_stage_and_tells_the_truth(whole: tuple[Report, Path]) -> None:
    report, out = whole
    steps = [row.step for row in report.ledger.rows]
    assert steps == ["base", "base as float", "prune(sparsity=0.7)", "int8", "strip"]
    base, reference, pruned, quantized, final = report.ledger.rows
    assert base.score.value > 0.9
    assert reference.agreement.top1 == 1
    assert pruned.facts["sparsity_in_scope"] == pytest.approx(0.7, abs=0.001)
    assert pruned.nonzeros < base.nonzeros
    assert quantized.nonzeros <= pruned.nonzeros
    assert final.size_bytes == out.stat().st_size < quantized.size_bytes
    assert final.scores[0].value == quantized.scores[0].value > 0.85
    assert final.scores[0].low < final.scores[0].value < final.scores[0].high
    assert final.score.count == 397
    assert report.ledger.on_disk(final) == 4 * base.parameters / final.size_bytes > 3
    assert report.ledger.download(final) == reference.compressed_bytes / final.compressed_bytes > 4
    assert 0 <= final.p_value <= 1
    assert final.latency.median_ms > 0
    assert final.facts["quantization"] == "int8, static"
    assert report.data["counts"] == {
        "train": 1260,
        "validation": 140,
        "calibration": 200,
        "test": 397,
    }


@pytest.mark.parametrize(("name", "value"), [("epochs", 9), ("seed", 0)])
def test_what_a_recipe_says_is_not_said_again_beside_it(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"received {name}= beside recipe=") as error:
        package.compress("model.keras", recipe="recipe.toml", **{name: value})
    assert f"write {name} into the recipe" in error.value.hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("device", "no device profile 'nowhere'"),
        ("toolchain", "no toolchain 'nowhere'"),
        ("custom", "--custom must be written module:object; received 'nowhere'"),
        ("step", "no method 'nowhere'"),
    ],
)
def test_one_text_alone_is_one_and_not_its_letters(
    name: str, said: str, digits_model: Path, tmp_path: Path
) -> None:
    asked = {"output": tmp_path / "o.tflite", name: "nowhere"}
    with pytest.raises(UsageError, match=said.replace("--custom", "custom=")):
        package.compress(digits_model, **asked, **({} if name == "step" else {"int8": True}))


def test_what_is_packed_is_named_so_where_no_name_is_given() -> None:
    methods = installed().methods
    packed = Recipe.from_flags({"int8": True, "pack": True}, methods)
    assert str(default_out(Path("nets/small.keras"), packed)) == "small.esz"
    assert str(default_out(Path("mine:forest"), Recipe())) == "forest.tflite"


@pytest.mark.heavy
def test_what_lies_beside_the_result_makes_it_again(
    whole: tuple[Report, Path], digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    _, out = whole
    recipe = out.with_suffix(".recipe.toml")
    again = tmp_path / "again.tflite"
    package.compress(digits_model, output=again, recipe=recipe, data=str(digits), **SCALE)
    assert again.read_bytes() == out.read_bytes()
    written = json.loads(out.with_suffix(".report.json").read_text())
    assert json.loads(json.dumps(Report.read(out).as_dict())) == written
    assert json.loads(out.with_suffix(".names.json").read_text())["tensors"]


@pytest.mark.heavy
def test_the_program_beside_the_result_answers_as_it_was_scored(
    whole: tuple[Report, Path], digits: Path, tmp_path: Path
) -> None:
    report, out = whole
    with np.load(digits) as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    answered = []
    for number in range(12):
        np.save(tmp_path / "x.npy", x[number])
        argv = [sys.executable, str(out.with_suffix(".infer.py")), "x.npy"]  # from another folder
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
        scores = done.stdout.replace("[", " ").replace("]", " ").split()
        assert len(scores) == 10
        answered.append(np.argmax([float(score) for score in scores]))
    assert np.mean(np.array(answered) == y[:12]) > 0.8
    assert report.ledger.final.score.value > 0.9


def test_a_second_run_finds_every_stage(
    whole: tuple[Report, Path], digits: Path, digits_model: Path
) -> None:
    first, out = whole
    before = out.read_bytes()
    again = package.compress(
        digits_model, output=out, prune=0.7, int8=True, data=str(digits), force=True, **SHORT
    )
    assert all(row.reused for row in again.ledger.rows[1:])
    assert not any(row.reused for row in first.ledger.rows)
    assert out.read_bytes() == before


@pytest.mark.heavy
def test_other_options_are_other_stages(
    whole: tuple[Report, Path], digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    _, out = whole
    report = package.compress(
        digits_model,
        output=tmp_path / "other.tflite",
        run=out.with_suffix(".run"),
        step=["prune sparsity=0.7", "int8 io=uint8 granularity=channel"],
        data=str(digits),
        **SHORT,
    )
    assert [row.reused for row in report.ledger.rows[1:]] == [True, True, False, False]
    # images here are stored as bytes 0..16 and scaled by 1/16: a byte goes in as it is
    (taken,) = read_model((tmp_path / "other.tflite").read_bytes()).inputs
    assert taken.dtype == "uint8"
    assert (taken.scales[0], taken.zero_points[0]) == (pytest.approx(1 / 16), 0)
    assert report.ledger.final.score.value > 0.85
    assert report.ledger.final.agreement.top1 > 0.9


def test_a_wrong_scale_is_noticed_before_any_work(
    digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    options = {"output": tmp_path / "x.keras", "prune": 0.5, "data": str(digits)}
    options |= {"epochs": 0}
    with pytest.raises(DataError, match="commonest class") as told:
        package.compress(digits_model, preprocess="scale=-1", **options)
    assert "preprocess=" in told.value.hint
    assert not (tmp_path / "x.keras").exists()
    report = package.compress(digits_model, preprocess="scale=-1", force=True, **options)
    assert report.notes[-1].startswith("the uncompressed model is right on ")
    assert " of the test samples, where always naming the commonest class" in report.notes[-1]


@pytest.mark.heavy
def test_without_data_agreement_is_measured(digits_model: Path, tmp_path: Path) -> None:
    report = package.compress(
        digits_model, output=tmp_path / "good.tflite", int8=True, rules="smoke"
    )
    final = report.ledger.final
    assert report.failed == ""
    assert final.scores == ()
    assert final.facts["quantization"] == "int8 weights, dynamic range"
    assert final.agreement.synthetic
    assert final.agreement.samples == 256
    assert final.agreement.classes > 3
    assert final.agreement.top1 > 0.9


@pytest.mark.heavy
def test_without_data_a_poor_result_is_kept_and_ends_in_exit_4(
    digits_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "poor.tflite"
    flags = ("--prune", "0.97", "--int8", "--rules", "smoke", "-o", str(out))
    assert cli.run(["compress", str(digits_model), *flags]) == 4
    told = capsys.readouterr()
    assert "accuracy NOT measured" in told.out
    assert "dynamic range" in told.err
    assert "256 synthetic inputs" in told.err
    assert "--data" in told.err
    assert out.is_file()


@pytest.mark.heavy
def test_a_result_at_chance_is_worse_and_no_success(
    digits: Path, digits_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "chance.tflite"
    flags = ("--prune", "0.99", "--epochs", "0", "--int8", "--rules", "smoke", "-o", str(out))
    data = ("--data", str(digits), "--preprocess", "scale=1/16")
    argv = ["compress", str(digits_model), *flags, *data]
    assert cli.run(argv) == 4
    told = capsys.readouterr()
    assert told.out.startswith("worse by ")
    assert "points may be lost" in told.err
    assert "--max-drop none" in told.err
    found = Report.read(out)
    assert found.ledger.base.merits
    assert found.ledger.final.merits == {}
    accepted = [*argv, "--max-drop", "none", "--force", "--json"]
    assert cli.run(accepted) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"]["outcome"], document["failed"]) == ("worse", "")
    assert not document["ledger"]["rows"][-1]["merits"]  # accepted, and no better than guessing


@pytest.mark.heavy
def test_a_keras_output_opens_in_plain_keras(
    digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pruned.keras"
    report = package.compress(
        digits_model, output=out, prune=0.5, data=str(digits), epochs=1, **SCALE
    )
    model = keras.models.load_model(out)
    assert (np.asarray(model.get_layer("hidden").kernel) == 0).mean() > 0.4
    assert report.ledger.final.kind == "keras"
    assert report.snippet == ""


@pytest.mark.heavy
def test_regression_with_two_outputs_and_inputs(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(600, 6)).astype("float32"), rng.normal(size=(600, 4)).astype("float32")
    total, product = (a.sum(1) + b.sum(1))[:, None], (a[:, :1] * b[:, :1])
    left, right = keras.Input((6,), name="a"), keras.Input((4,), name="b")
    hidden = layers.Dense(32, activation="relu")(layers.Concatenate()([left, right]))
    hidden = layers.Dense(32, activation="relu")(hidden)
    outputs = [layers.Dense(1, name="total")(hidden), layers.Dense(1, name="product")(hidden)]
    model = keras.Model([left, right], outputs)
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    model.fit([a, b], [total, product], epochs=8, verbose=0)
    path, data = tmp_path / "two.keras", tmp_path / "two.npz"
    model.save(path)
    arrays = {"a": a, "b": b}
    np.savez(
        data,
        **{f"x_train/{n}": v[:500] for n, v in arrays.items()},
        **{f"x_test/{n}": v[500:] for n, v in arrays.items()},
        **{"y_train/total": total[:500], "y_train/product": product[:500]},
        **{"y_test/total": total[500:], "y_test/product": product[500:]},
    )
    report = package.compress(
        path,
        output=tmp_path / "two.tflite",
        prune=0.5,
        int8=True,
        int8_granularity="tensor",
        data=str(data),
        epochs=3,
        rules="smoke",
    )
    final = report.ledger.final
    assert final.score.metric == "mae"
    assert not final.score.higher_is_better
    assert final.score.value < 3 * report.ledger.base.score.value + 0.5
    assert final.agreement.top1 is None
    assert final.agreement.cosine > 0.8


@pytest.mark.heavy
def test_unlabelled_data_is_fine_tuned_on_the_originals_answers(
    digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    unlabelled = tmp_path / "unlabelled.npz"
    with np.load(digits) as data:
        np.savez(unlabelled, x_train=data["x_train"], x_test=data["x_test"])
    options = {"prune": 0.8, "data": str(unlabelled), **SCALE}
    tuned = package.compress(digits_model, output=tmp_path / "tuned.keras", epochs=3, **options)
    raw = package.compress(digits_model, output=tmp_path / "raw.keras", epochs=0, **options)
    assert tuned.ledger.final.scores == ()
    assert tuned.ledger.final.agreement.top1 > raw.ledger.final.agreement.top1


@pytest.mark.heavy
def test_a_legacy_model_is_rebuilt_and_compressed(tmp_path: Path) -> None:
    with zipfile.ZipFile(LEGACY) as archive:
        legacy = archive.extract("depthwise.h5", tmp_path)
    report = package.compress(legacy, output=tmp_path / "l.tflite", dynamic=True, rules="smoke")
    assert report.ledger.rows[1].agreement.share > 0.999
    assert any("Keras 2" in note for note in report.notes)


def test_with_an_effort_a_step_chooses_what_no_flag_says(
    digits_model: Path, digits: Path, tmp_path: Path
) -> None:
    report = package.compress(
        digits_model,
        output=tmp_path / "small.keras",
        prune=0.9,
        effort="quick",
        epochs=2,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
    )
    pruned = report.ledger.final
    assert set(pruned.facts["training"]) == {"lr", "teacher", "shift"}
    assert any("peak rate " in note for note in pruned.notes)
    assert pruned.facts["sparsity_in_scope"] == pytest.approx(0.9, abs=0.01)


@pytest.mark.heavy
def test_training_fits_in_the_time_that_is_given(
    digits_model: Path, digits: Path, tmp_path: Path
) -> None:
    told: list[str] = []

    class Listener:
        @hookimpl
        def edgeshrink_told(self, text: str) -> None:
            told.append(text)

    plugins = installed()
    options = {"data": str(digits), **SCALE}
    plugins.register(Listener(), "listener")
    try:
        first, again = (
            package.compress(
                digits_model,
                output=tmp_path / "s.keras",
                prune=0.9,
                time=1e4,
                force=True,
                **options,
            )
            for _ in range(2)
        )
    finally:
        plugins.unregister("listener")
    line, other = told
    found = re.fullmatch(r"prune: up to (\d+) epochs, .*", line)
    assert found is not None
    epochs = len(first.ledger.final.facts["curve"])
    assert epochs <= int(found[1])
    # what the time decided is written down, and so are the epochs: neither needs a clock again
    assert f"max_epochs = {found[1]}\n" in first.recipe
    assert f"\nepochs = {epochs}\n" in first.recipe
    assert other.partition(", ")[0] == line.partition(", ")[0]
    assert again.ledger.final.reused
    with pytest.raises(UsageError, match="one epoch of each step may take") as short:
        package.compress(digits_model, output=tmp_path / "t.keras", prune=0.9, time=1e-3, **options)
    assert all(word in short.value.hint for word in ("time=", "a smaller epoch_size="))


def test_epochs_are_cut_in_proportion_to_fit_in_a_time() -> None:
    found = [
        Forecast(0, "prune", 20, 1, 3.0, free=True, fixed_seconds=5.0),
        Forecast(1, "cluster", 10, 1, 3.0, free=True, fixed_seconds=5.0),
        Forecast(2, "qat", 2, 1, 3.0, free=False),
    ]
    assert str(found[0]) == "prune: up to 20 epochs, about 1 min"
    assert within(found, 1000) == {0: 20, 1: 10}
    most = within(found, 80)
    assert most == {0: 9, 1: 4}
    assert sum(one.held(most.get(one.place)).seconds for one in found) <= 80
    with pytest.raises(UsageError, match="one epoch of each step may take"):
        within(found, 20)
    with pytest.raises(UsageError, match="the epochs that are given may take"):
        within(found[2:], 5)


def test_training_flags_go_before_what_a_recipe_file_says(
    digits_model: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        '[[step]]\nmethod = "prune"\nsparsity = 0.5\n[step.training]\nepochs = 9\nlr = 1e-3\n'
    )
    argv = ["compress", str(digits_model), "--recipe", str(recipe), "--epochs", "2"]
    argv += ["--data", str(digits), "--preprocess", "scale=1/16", "--dry-run", "--json"]
    assert cli.run([*argv, "-o", str(tmp_path / "s.keras")]) == 0
    (step,) = json.loads(capsys.readouterr().out)["steps"]
    assert (step["training"]["epochs"], step["training"]["lr"]) == (2, 1e-3)
