from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import edgeshrink as package
from edgeshrink.engine.judging.perturbing import sampled
from edgeshrink.errors import DataError, EdgeshrinkError, UsageError
from edgeshrink.results.paired import paired_z
from edgeshrink.results.report import Report, json_text
from edgeshrink.results.robustness import Robustness
from edgeshrink.samples import load_dataset
from edgeshrink.samples.perturbation import (
    PERTURBATIONS,
    Perturbation,
    Perturbed,
    jpeg,
    occlusion,
    rotation,
    shift,
    value_range,
)
from edgeshrink.samples.subset import Column
from edgeshrink.texts import typed
from edgeshrink_reports import Markdown
from edgeshrink_reports.html import report_page

BY_NAME = {one.name: one for one in PERTURBATIONS}
SCALE = {"preprocess": "scale=1/16", "rules": "smoke"}
each = pytest.mark.parametrize("one", PERTURBATIONS, ids=lambda one: one.name)
shapes = st.tuples(
    st.integers(1, 5), st.integers(8, 20), st.integers(8, 20), st.sampled_from([1, 3])
)


def images(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def random() -> np.random.Generator:
    return np.random.default_rng(1)


@given(shapes, st.sampled_from(["noise", "blur", "brightness", "rotation", "shift", "occlusion"]))
def test_at_level_0_images_are_what_they_were(shape: tuple[int, ...], name: str) -> None:
    before = images(shape)
    np.testing.assert_allclose(BY_NAME[name].change(before, 0.0, random()), before, atol=1e-6)


@given(shapes)
def test_a_turn_of_360_degrees_changes_nothing_and_one_of_180_turns(
    shape: tuple[int, ...],
) -> None:
    before = images(shape)
    np.testing.assert_allclose(rotation(before, 360.0, random()), before, atol=1e-6)
    turned = rotation(before, 180.0, random())
    np.testing.assert_allclose(turned, before[:, ::-1, ::-1], atol=1e-5)


@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from([0.05, 0.1, 0.25, 1.0]))
def test_occlusion_covers_the_stated_share_with_one_patch(
    height: int, width: int, share: float
) -> None:
    covered = occlusion(np.ones((20, height, width, 1), np.float32), share, random()) == 0.5
    sides = [covered.any(axis=axis).sum(axis=1)[:, 0] for axis in (2, 1)]
    area = round(height * share**0.5) * round(width * share**0.5)
    assert (covered.sum(axis=(1, 2, 3)) == area).all()
    assert (sides[0] * sides[1] == area).all()
    assert area == pytest.approx(share * height * width, abs=0.5 * (height + width) + 0.25)


@pytest.mark.parametrize(
    ("side", "quality", "blurred"),
    [(28, 80.0, 0.4), (84, 80.0, 0.4), (96, 25.0, 1.0), (299, 25.0, 1.0)],
)
def test_levels_are_those_for_images_of_that_size(
    side: int, quality: float, blurred: float
) -> None:
    assert BY_NAME["jpeg"].at(side)[0] == quality
    made = 32 if quality == 80 else 224
    assert BY_NAME["blur"].at(side)[0] * made == pytest.approx(blurred)
    assert BY_NAME["rotation"].at(side) == (6.0, 12.0, 18.0, 24.0, 30.0)


def test_a_shift_moves_by_its_share_in_all_four_directions() -> None:
    before = np.zeros((40, 10, 20, 1), np.float32)
    before[:, 5, 10] = 1
    found = {tuple(map(int, np.argwhere(one)[0][:2])) for one in shift(before, 0.2, random())}
    assert found == {(3, 10), (7, 10), (5, 6), (5, 14)}


def test_brightness_keeps_hue_and_lifts_black_to_grey() -> None:
    before = np.array([[[[0.4, 0.2, 0.0], [0.0, 0.0, 0.0], [0.9, 0.3, 0.3]]]], np.float32)
    after = BY_NAME["brightness"].change(before, 0.2, random())
    wanted = [[0.6, 0.3, 0.0], [0.2, 0.2, 0.2], [1.0, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(after[0, 0], wanted, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [25, 7])
def test_jpeg_is_what_tensorflow_codes(channels: int, quality: int) -> None:
    import tensorflow as tf

    pixels = (images((3, 32, 24, channels)) * 255).astype(np.uint8)
    ours = np.rint(jpeg(pixels / np.float32(255), quality, random()) * 255)
    coded = [tf.io.encode_jpeg(one, quality=quality) for one in pixels]
    wanted = [tf.io.decode_jpeg(text, dct_method="INTEGER_ACCURATE") for text in coded]
    np.testing.assert_array_equal(ours, np.stack(wanted))


@each
@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", "int16"])
@pytest.mark.parametrize("shape", [(9, 60, 50), (9, 60, 50, 1), (9, 60, 50, 3)])
def test_type_shape_and_range_stay_and_draws_repeat(
    one: Perturbation, kind: str, shape: tuple[int, ...]
) -> None:
    stored = (images(shape) * 16).astype(kind)
    low, high = float(stored.min()), float(stored.max())
    rows = np.arange(9)
    found = [Perturbed(stored, one, one.at(50)[-1], low, high, seed)[rows] for seed in (0, 0, 1)]
    assert (found[0].shape, found[0].dtype) == (shape, np.dtype(kind))
    assert low <= found[0].min() <= found[0].max() <= high + 1e-5
    assert (found[0] == found[1]).all()
    assert (found[0] != stored).any()
    drawn = one.name in ("noise", "rotation", "shift", "occlusion")
    assert (found[0] != found[2]).any() == drawn


@each
@pytest.mark.parametrize("side", [32, 224])
def test_each_severity_takes_images_further_away(one: Perturbation, side: int) -> None:
    rows, columns = np.mgrid[-1:1:28j, -1:1:28j].astype(np.float32)
    ellipse = np.exp(-(rows**2) / 0.4 - columns**2 / 0.1)
    before = np.repeat(ellipse[None, ..., None], 100, axis=0)
    far = [
        float(np.square(np.clip(one.change(before, level, random()), 0, 1) - before).mean())
        for level in one.at(side)
    ]
    assert len(far) == 5
    assert far == sorted(far)
    assert far[4] > far[0]


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (np.zeros((4, 16), "float32"), r"samples of 'x' are \(16,\) float32"),
        (np.zeros((4, 49, 32), "float32"), "height × width of 8-bit values"),
        (np.zeros((4, 8, 8, 5), "uint8"), "1 or 3 channels"),
        (np.full((4, 8, 8), 7, "uint8"), "those of 'x' are all 7"),
    ],
)
def test_what_is_no_image_is_refused(stored: np.ndarray, said: str) -> None:
    with pytest.raises(DataError) as caught:
        value_range("x", Column(stored, np.arange(4)))
    assert said.replace("\\", "") in f"{caught.value} {caught.value.hint}"


def test_the_range_is_that_of_the_stored_values() -> None:
    stored = np.concatenate([np.zeros((300, 4, 4), "uint8"), np.full((1, 4, 4), 16, "uint8")])
    assert value_range("x", Column(stored, np.arange(301))) == (0.0, 16.0)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_a_paired_z_test_sees_what_differs(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 1, 400)
    assert paired_z(noise - noise.mean() + 0.5) < 1e-6
    assert paired_z(noise - noise.mean()) > 0.99
    assert paired_z(np.zeros(5)) == 1


def test_fewer_samples_are_of_each_class_in_proportion(digits: Path) -> None:
    data = load_dataset(str(digits))
    test = data.test
    assert test is not None
    few = sampled(data, test, 100, seed=3)
    assert len(few) == 100
    assert set(few.rows) <= set(test.rows)
    exact = np.bincount(test.labels) * 100 / len(test)
    assert np.abs(np.bincount(few.labels) - exact).max() < 1
    assert sampled(data, test, 10_000, seed=3) is test


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, digits: Path, digits_model: Path
) -> tuple[Report, Path]:
    """A run whose result is worse than its base on perturbed images: pruned, and not trained."""
    out = tmp_path_factory.mktemp("robust") / "small.keras"
    report = package.compress(
        digits_model,
        output=out,
        step=["prune sparsity=0.85"],
        epochs=0,
        data=str(digits),
        robustness=True,
        robustness_samples=200,
        **SCALE,
    )
    return report, out


@pytest.mark.heavy
def test_a_model_that_was_spoilt_is_told_from_its_base(whole: tuple[Report, Path]) -> None:
    found = whole[0].robustness
    assert found is not None
    assert {case.perturbation for case in found.cases} == set(BY_NAME)
    assert (found.metric, found.samples) == ("top1", 200)
    assert [*found.ranges.values()] == [(0.0, 16.0)]
    assert found.clean.before > 0.9
    assert found.clean.before > found.mean.before
    assert found.mean.change < 0
    assert found.mean.significant
    changes = [case.mean.change for case in found.cases]
    assert changes == sorted(changes)
    noise = next(case for case in found.cases if case.perturbation == "noise")
    assert noise.pairs[4].before <= noise.pairs[0].before
    assert noise.levels == (0.04, 0.06, 0.08, 0.09, 0.1)
    for case in found.cases:
        assert case.mean.before == pytest.approx(np.mean([p.before for p in case.pairs]))
    means = [case.mean.after for case in found.cases]
    assert found.mean.after == pytest.approx(np.mean(means))


@pytest.mark.heavy
def test_scores_are_those_of_images_perturbed_by_hand(
    whole: tuple[Report, Path], digits: Path, digits_model: Path
) -> None:
    import keras

    found = whole[0].robustness
    assert found is not None
    data = load_dataset(str(digits))
    test = data.test
    assert test is not None
    part = sampled(data, test, 200, seed=0)
    source = next(iter(part.sources.values()))
    darkened = Perturbed(source, BY_NAME["brightness"], 0.15, 0.0, 16.0)[part.rows]
    answers = keras.models.load_model(digits_model).predict(darkened / 16.0, verbose=0)
    right = float((answers.argmax(axis=1) == part.labels).mean())
    case = next(case for case in found.cases if case.perturbation == "brightness")
    assert case.pairs[2].before == pytest.approx(right, abs=1e-6)


@pytest.mark.heavy
def test_reports_keep_robustness_and_show_it(
    whole: tuple[Report, Path],
    edgeshrink: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    report, out = whole
    document = json.loads(out.with_suffix(".report.json").read_text())
    assert document["robustness"]["mean"]["after"] == report.robustness.mean.after
    again = Report.read(out)
    assert again.robustness == report.robustness
    assert json.loads(json_text(again.as_dict())) == document
    del document["robustness"]  # as written before there was any
    assert Report.from_dict(document).robustness is None
    text = Markdown().render(report)
    assert "## Robustness" in text
    assert "jpeg, quality: 80, 65, 58, 50, 40" in text
    page = report_page(report)
    assert "<h2>Robustness</h2>" in page
    assert "<td>jpeg</td>" in page
    worst = report.robustness.cases[0].perturbation
    shown = edgeshrink("report", out).stdout
    assert shown.index("none ") < shown.index(worst) < shown.index("mean of all")
    assert "on 200 test samples of values 0 to 16, perturbed before preprocessing" in shown


def test_an_error_that_grows_is_worse() -> None:
    pair: dict[str, Any] = {"before": 1.0, "after": 2.0, "p_value": 0.01}
    case = {"perturbation": "blur", "unit": "", "levels": [1.0], "pairs": [pair], "mean": pair}
    found = typed(
        Robustness,
        {
            "metric": "mae",
            "higher_is_better": False,
            "samples": 3,
            "ranges": {"x": [0.0, 1.0]},
            "clean": pair,
            "mean": pair,
            "cases": [case],
        },
        "it",
    )
    assert found.cases[0].pairs[0].change == 1.0
    assert typed(Robustness, json.loads(json_text(asdict(found))), "it") == found
    with pytest.raises(EdgeshrinkError, match=r"it\.samples must be a whole number; received '3'"):
        typed(Robustness, {**asdict(found), "samples": "3"}, "it")


def test_it_is_refused_where_it_cannot_be_measured(
    tmp_path: Path, digits: Path, digits_model: Path
) -> None:
    def plan(**more: Any) -> None:
        package.compress(digits_model, output=tmp_path / "x.tflite", robustness=True, **more)

    with pytest.raises(UsageError, match="there are no labelled ones"):
        plan()
    with np.load(digits) as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "unlabelled.npz", x_train=arrays["x_train"], x_test=arrays["x_test"])
    with pytest.raises(UsageError, match="there are no labelled ones"):
        plan(data=str(tmp_path / "unlabelled.npz"))
    flat = {k: v.reshape(-1, 8, 8).astype("float32") for k, v in arrays.items() if k[0] == "x"}
    np.savez(tmp_path / "flat.npz", **{**arrays, **flat})
    with pytest.raises(DataError, match="only images can be perturbed"):
        plan(data=str(tmp_path / "flat.npz"))


def test_its_samples_are_refused_without_it(
    edgeshrink: Callable[..., subprocess.CompletedProcess[str]], digits_model: Path
) -> None:
    done = edgeshrink("compress", digits_model, "--int8", "--robustness-samples", "9")
    assert done.returncode == 2
    assert "--robustness-samples goes with --robustness" in done.stderr


@pytest.mark.slow
def test_a_file_is_run_on_perturbed_images_too(
    edgeshrink: Callable[..., subprocess.CompletedProcess[str]], digits: Path, digits_model: Path
) -> None:
    argv = ("compress", digits_model, "--int8", "--data", digits, "--preprocess", "scale=1/16")
    done = edgeshrink(*argv, "--rules", "smoke", "--robustness", "-o", "x.tflite", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    found = document["robustness"]
    assert found["samples"] == 397
    assert found["clean"]["after"] == document["ledger"]["rows"][-1]["scores"][0]["value"]
    assert abs(found["mean"]["after"] - found["mean"]["before"]) < 0.02
    again = edgeshrink(*argv, "--rules", "smoke", "--robustness", "-o", "x.tflite", "--force")
    assert "mean of all" in again.stdout


@pytest.mark.slow
def test_bench_compares_files_on_perturbed_images(
    edgeshrink: Callable[..., subprocess.CompletedProcess[str]],
    digits: Path,
    digits_model: Path,
    tmp_path: Path,
) -> None:
    common = ("--data", digits, "--preprocess", "scale=1/16", "--rules", "smoke")
    for name, steps in {"base": [], "poor": ["--prune", "0.9", "--prune-epochs", "0"]}.items():
        argv = ("compress", digits_model, "--float", *steps, "-o", f"{name}.tflite")
        assert edgeshrink(*argv, *common).returncode == 0
    wanted = ("--robustness", "--robustness-samples", "100")
    assert "name another model" in edgeshrink("bench", "base.tflite", *wanted, *common).stderr
    argv = ("bench", "base.tflite", "poor.tflite", *wanted, *common)
    found = json.loads(edgeshrink(*argv, "--json").stdout)["robustness"]
    assert [*found] == ["poor.tflite"]
    mean = found["poor.tflite"]["mean"]
    assert mean["after"] < mean["before"]
    assert "base.tflite before, poor.tflite after" in edgeshrink(*argv).stdout
