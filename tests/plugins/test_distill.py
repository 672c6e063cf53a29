"""Distillation: students made, fitted and taught; hints, assistants, ensembles, sweeps."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import edgeshrink as package
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts, facts
from edgeshrink.nn.graph.channel_groups import channel_graph
from edgeshrink.nn.graph.counts import count
from edgeshrink.nn.graph.strength import channel_norms, strongest_channels
from edgeshrink.nn.inputs.comparison import agreement
from edgeshrink.nn.learning.distillation import Distillation, SoftLoss
from edgeshrink.recipes.method import Plan
from edgeshrink.recipes.training import Training
from edgeshrink.testing import check_method, tiny_data, tiny_model
from edgeshrink.testing.running import context, opened_again, outputs
from edgeshrink_distill import Distill
from edgeshrink_distill.distilling import Taught, _averaged, _sizes, chosen
from edgeshrink_distill.hints import AttentionDistance, FeatureDistance, pairs
from edgeshrink_distill.online import Branches, waist
from edgeshrink_distill.spec import Spec
from edgeshrink_distill.students import fitted, student
from edgeshrink_distill.trials import Trial

layers = keras.layers


def taught(
    model: keras.Model,
    folder: Path,
    training: dict[str, Any] | None = None,
    *,
    labels: bool = True,
    **options: Any,
) -> tuple[keras.Model, Any]:
    step = Distill.of({"student": "width=0.5", **options}, training)
    lent = context(step, model, model, tiny_data(labels=labels), folder)
    lent.training = Training(**(training or {"epochs": 1})).over(lent.training)
    return step.apply(model, lent), lent


def residual() -> keras.Model:
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    for _ in range(4):
        x = layers.Add()([x, layers.Conv2D(4, 3, padding="same", activation="relu")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(x))


def shallow(name: str = "picture", side: int = 8, classes: int = 3) -> keras.Model:
    inputs = keras.Input((side, side, 1), name=name)
    x = layers.Dense(6, activation="relu")(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", name="said")(x))


SHARES = st.floats(0.01, 0.99).map(lambda v: round(v, 3))


@given(SHARES, SHARES, st.sampled_from(",+;"))
def test_a_student_is_spelled(width: float, depth: float, between: str) -> None:
    assert Spec.parse(f"width={width}") == Spec(width=width)
    assert Spec.parse(f"depth={depth}{between} width={width}") == Spec(width=width, depth=depth)
    assert Spec.parse("a/b.keras") == Spec(file="a/b.keras")
    assert Spec.parse("nets.small:student") == Spec(function="nets.small:student")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width=0", "above 0 and at most 1; received '0'"),
        ("width=1.5", "above 0 and at most 1"),
        ("depth=-1", "above 0 and at most 1"),
        ("width=1e", "above 0 and at most 1"),
        ("width=1", "a student of all of the teacher is no student"),
        ("width=0.5,height=0.5", "cannot be read at 'height=0.5'"),
        ("width=0.5,width=0.4", "cannot be read at 'width=0.4'"),
        ("half", "cannot be read: write it as in student.keras"),
        ("os:abort", "not in Python's own module 'os'"),
        ("model.h5", "cannot be read"),
    ],
)
def test_what_spells_no_student_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Distill.of({"student": text})


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": [0]},
        {"temperature": [1, -2]},
        {"alpha": [1.5]},
        {"alpha": [-0.1]},
        {"hints": ["conv"]},
        {"weights": [1.0]},
        {"teachers": ["a.keras", "b.keras"], "weights": [1, 2]},
        {"preprocess": "scale=2"},
        {"assistant": ["third"]},
        {"hint_weight": 0},
        {"noise": -1},
        {"noise": 0.2, "match": "zscore"},
        {"candidates": ["half"]},
        {"tolerance": 0.02},
        {"candidates": ["width=0.2"], "tolerance": -1},
    ],
)
def test_options_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Distill.of({"student": "width=0.5", **values})


def plan(data: Any) -> Plan:
    return Plan(ModelFacts(Kind.KERAS), (), (), data, DeviceProfile("test"))


def test_what_is_missing_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs training samples"):
        list(Distill.of({"student": "width=0.5"}).check(plan(None)))
    gone = str(tmp_path / "gone.keras")
    for values in ({"student": gone}, {"student": "width=0.5", "teachers": [gone]}):
        with pytest.raises(UsageError, match="no model file"):
            list(Distill.of(values).check(plan(tiny_data())))
    with pytest.raises(UsageError, match="needs a module that is not there: no_such"):
        list(Distill.of({"student": "no_such.nets:small"}).check(plan(tiny_data())))
    unlabelled = tiny_data(labels=False)
    (said,) = Distill.of({"student": "width=0.5"}).check(plan(unlabelled))
    assert "teacher's answers alone" in said
    for values, tuning in (({"alpha": [0.5]}, {}), ({}, {"alpha": 0.5}), ({}, {"teacher": "none"})):
        with pytest.raises(UsageError, match="the data has none"):
            list(Distill.of({"student": "width=0.5", **values}, tuning).check(plan(unlabelled)))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_narrow_student_begins_with_the_strongest_channels(tmp_path: Path, share: float) -> None:
    model = tiny_model()
    lent = context(Distill.of({"student": "width=0.5"}), model, model, tiny_data(), tmp_path)
    made = student(Spec(width=share), model, lent, init="strongest", preprocess="none")
    kernel, whole = made.get_layer("hidden").kernel, model.get_layer("hidden").kernel
    kept = round(16 * share)
    assert kernel.shape[1] == kept
    strength = np.linalg.norm(np.asarray(whole), axis=0)
    chosen = np.sort(np.argsort(strength)[-kept:])
    np.testing.assert_array_equal(
        made.get_layer("hidden").bias, np.asarray(model.get_layer("hidden").bias)[chosen]
    )
    drawn = student(Spec(width=share), model, lent, init="random", preprocess="none")
    assert [w.shape for w in drawn.weights] == [w.shape for w in made.weights]
    assert (np.asarray(drawn.get_layer("hidden").kernel) != np.asarray(kernel)).all()


@given(st.floats(0.05, 1))
@settings(max_examples=20)
def test_what_is_kept_is_stronger_than_what_goes(share: float) -> None:
    graph = channel_graph(tiny_model())
    strength = channel_norms(graph)
    gone = strongest_channels(graph, share, strength)
    for group in graph.free:
        away, kept = (strength[group.channels[gone[group.channels] == which]] for which in (1, 0))
        assert len(kept) == max(1, int(share * len(group) + 0.5))
        assert not len(away) or away.max() <= kept.min()
    fenced = [group for group in graph.groups if group.fence]
    assert not any(gone[group.channels].any() for group in fenced)


def test_a_shallow_student_is_without_what_matters_least(tmp_path: Path) -> None:
    model = residual()
    names = [layer.name for layer in model.layers if isinstance(layer, layers.Conv2D)][1:]
    for name in (names[0], names[2]):  # these two do nothing
        model.get_layer(name).set_weights([np.zeros((3, 3, 4, 4)), np.zeros(4)])
    lent = context(Distill.of({"student": "depth=0.5"}), model, model, tiny_data(), tmp_path)
    lent.evaluate = lambda candidate, most=None: None  # by agreement alone
    made = student(Spec(depth=0.5), model, lent, init="strongest", preprocess="none")
    convolutions = [layer for layer in made.layers if isinstance(layer, layers.Conv2D)]
    assert len(convolutions) < 5
    assert lent.facts["asked"]["what can be left out"]["done"] == pytest.approx(0.5, abs=0.15)
    inputs = np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32")
    narrow = student(Spec(depth=0.5, width=0.5), model, lent, init="strongest", preprocess="none")
    assert narrow.count_params() < made.count_params() < model.count_params()
    assert narrow(inputs).shape == (4, 3)


def test_nothing_to_leave_out_or_to_narrow_is_told(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1), name="image")
    flat = layers.Flatten()(inputs)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(flat))
    with pytest.raises(ModelError, match="no narrower student can be made"):
        taught(model, tmp_path)
    with pytest.raises(ModelError, match="no shallower student can be made"):
        taught(model, tmp_path, student="depth=0.5")


def test_a_file_is_fitted_to_what_its_teacher_takes() -> None:
    teacher, own = tiny_model(), shallow()
    made = fitted("own.keras", own, teacher, "scale=1/2 offset=-1")
    assert made.inputs[0].name == "image"
    x = np.random.default_rng(0).random((5, 8, 8, 1), dtype="float32")
    np.testing.assert_allclose(made(x), own(x / 2 - 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: shallow(side=9), r"differ in their inputs: \(9, 9, 1\) and \(8, 8, 1\)"),
        (lambda: shallow(classes=4), r"differ in their outputs: \(4,\) and \(3,\)"),
    ],
)
def test_a_student_that_does_not_fit_is_refused(model: Any, said: str, tmp_path: Path) -> None:
    other, file = str(tmp_path / "other.keras"), tmp_path / "teacher.keras"
    model().save(other)
    tiny_model().save(file)
    for values in ({"student": other}, {"student": "width=0.5", "teachers": [other]}):
        with pytest.raises(ModelError, match=said):  # TensorFlow is not there yet
            list(Distill.of(values).check(replace(plan(tiny_data()), base=facts(file))))
        with pytest.raises(ModelError, match=said):
            taught(tiny_model(), tmp_path, **values)


def test_what_a_configuration_does_not_tell_is_not_held_against_it(tmp_path: Path) -> None:
    file = tmp_path / "other.keras"
    shallow(side=9).save(file)
    for base in (ModelFacts(Kind.KERAS), replace(facts(file), outputs=())):
        steps = Distill.of({"student": str(file)})
        assert list(steps.check(replace(plan(tiny_data()), base=base))) == []


def test_a_student_may_be_built_by_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets_of_mine.py").write_text(
        "import keras\n"
        "def small():\n"
        "    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),\n"
        "                             keras.layers.Dense(3, activation='softmax')])\n"
        "def wrong():\n"
        "    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made, _ = taught(tiny_model(), tmp_path, student="nets_of_mine:small")
    assert made.count_params() == 195
    assert Distill.of({"student": "nets_of_mine:small"}).files == (Path("nets_of_mine.py"),)
    with pytest.raises(ModelError, match="must return a Keras model; received int"):
        taught(tiny_model(), tmp_path, student="nets_of_mine:wrong")
    sys.modules.pop("nets_of_mine")


@pytest.mark.parametrize("match", ["kl", pytest.param("mse", marks=pytest.mark.slow)])
def test_a_student_comes_to_answer_as_its_teacher(tmp_path: Path, match: str) -> None:
    teacher = tiny_model()
    x = np.random.default_rng(3).random((64, 8, 8, 1), dtype="float32")

    def apart(model: keras.Model) -> float:
        return float(np.abs(np.asarray(model(x)) - np.asarray(teacher(x))).mean())

    options = {"student": "width=0.75", "init": "random"}
    training = {"epochs": 12, "lr": 2e-2, "teacher": "only", "temperature": 2.0}
    step = Distill.of(options)
    lent = context(step, teacher, teacher, tiny_data(), tmp_path)
    first = student(Spec(width=0.75), teacher, lent, init="random", preprocess="none")
    made, lent = taught(teacher, tmp_path, training, match=match, labels=False, **options)
    assert apart(made) < apart(first) / 2
    assert lent.facts["temperature"] == 2
    opened_again(made, tmp_path, "distill")


@pytest.mark.parametrize(
    ("options", "labels", "match"),
    [
        ({}, True, "zscore"),
        ({"match": "kl"}, True, "kl"),
        ({"alpha": [0.0, 0.5]}, True, "kl"),
        ({"noise": 0.1}, True, "kl"),
        ({}, False, "kl"),
        ({"match": "zscore"}, False, "zscore"),
    ],
)
def test_sizes_of_logits_are_free_only_where_labels_tell_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    labels: bool,
    match: str,
) -> None:
    class Seen(Exception):
        pass

    def teaching(temperature: Any, alpha: Any, match: str, noise: float) -> None:
        raise Seen(match)

    monkeypatch.setattr("edgeshrink_distill.trials.Distillation", teaching)
    with pytest.raises(Seen, match=match):
        taught(tiny_model(), tmp_path, labels=labels, **options)


def test_of_several_temperatures_and_shares_the_best_is_kept(tmp_path: Path) -> None:
    # of each trial: its epoch, before and after batch norms are estimated anew, and its end
    scores = iter([score for score in (0.1, 0.2, 0.9, 0.3) for _ in range(4)])
    model = tiny_model()
    step = Distill.of({"student": "width=0.5", "temperature": [1, 5], "alpha": [0.0, 1.0]})
    lent = context(step, model, model, tiny_data(), tmp_path)
    seen = []

    def evaluate(candidate: keras.Model, most: int | None = None) -> float:
        seen.append([np.array(w) for w in candidate.get_weights()])
        return next(scores, 0.0)

    lent.evaluate = evaluate
    lent.training = Training(epochs=1).over(lent.training)
    made = step.apply(model, lent)
    trials = lent.facts["trials"]
    assert [(t["temperature"], t["alpha"]) for t in trials] == [
        *((1.0, 0.0), (1.0, 1.0), (5.0, 0.0), (5.0, 1.0))
    ]
    assert [t["score"] for t in trials] == [0.1, 0.2, 0.9, 0.3]
    assert [t["curve"] for t in trials] == [(0.1,), (0.2,), (0.9,), (0.3,)]
    best = trials[2]
    assert (lent.facts["temperature"], lent.facts["alpha"]) == (best["temperature"], best["alpha"])
    told = next(note for note in lent.notes if note.startswith("validation scores: T=1, alpha 0"))
    assert told.endswith("0.9000; T=5, alpha 1: 0.3000; kept T=5, alpha 0")
    assert any(
        all((a == b).all() for a, b in zip(made.get_weights(), weights, strict=True))
        for weights in seen
        if len(weights) == len(made.weights)
    )


@pytest.mark.parametrize(
    ("scores", "tolerance", "kept"),
    [
        ((0.9, 0.5, 0.95), 0.01, 2),
        ((0.95, 0.942, 0.952), 0.01, 1),
        ((0.95, 0.942, 0.952), 0.005, 0),
        ((0.9, 0.95, 0.9), 0.0, 1),
        ((0.9, 0.9, 0.9), 0.0, 1),
    ],
)
def test_of_several_students_the_smallest_that_is_good_is_chosen(
    scores: tuple[float, ...], tolerance: float, kept: int
) -> None:
    found = []
    for units, score in zip((5, 2, 7), scores, strict=True):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(units)])
        trials = (Trial(1.0, 0.5, score - 0.1, ()), Trial(4.0, 0.5, score, ()))
        found.append(Taught(f"{units} units", model, count(model), (), trials, ()))
    assert chosen(found, tolerance) is found[kept]


@pytest.mark.heavy
def test_several_students_are_tried_told_and_kept(tmp_path: Path) -> None:
    model, widths = tiny_model(), ["width=0.5", "width=0.25"]
    step = Distill.of({"student": widths[0], "candidates": widths[1:], "tolerance": 1.0})
    lent = context(step, model, model, tiny_data(), tmp_path)
    told = []
    lent.progress = lambda share, note: told.append((share, note))
    lent.training = Training(epochs=1).over(lent.training)
    small = step.apply(model, lent)
    trials = lent.facts["trials"]
    assert [t["student"] for t in trials] == widths
    assert count(small).parameters == trials[1]["parameters"] == lent.facts["student_parameters"]
    assert any("kept width=0.25, the smallest within 1 of the best" in n for n in lent.notes)
    assert lent.companions == ["student_1.keras", "student_2.keras"]
    for place, one in enumerate(trials, 1):
        stored = keras.models.load_model(tmp_path / f"student_{place}.keras")
        assert count(stored).parameters == one["parameters"]
        assert lent.evaluate(stored) == pytest.approx(one["score"])
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert {note.partition(": ")[0] for _, note in told} == set(widths)


def test_without_labels_trials_compare_by_agreement(tmp_path: Path) -> None:
    _, lent = taught(
        tiny_model(),
        tmp_path,
        {"epochs": 1, "teacher": "only"},
        labels=False,
        temperature=[1, 8],
    )
    assert all(0 <= t["score"] <= 1 for t in lent.facts["trials"])
    assert all(loss < 0 for t in lent.facts["trials"] for loss in t["curve"])


def test_hints_are_paired_by_size_and_by_name() -> None:
    teacher, small = tiny_model(), tiny_model()
    found = pairs(small, teacher, ["auto"], "features")
    assert list(map(str, found)) == ["relu → relu", "pool → pool", "hidden → hidden"]
    seen = pairs(small, teacher, ["auto"], "attention")  # a vector is strong nowhere
    assert list(map(str, seen)) == ["relu → relu", "pool → pool"]
    (named,) = pairs(small, teacher, ["conv:norm"], "features")
    assert str(named) == "conv → norm"
    with pytest.raises(ModelError, match="has no layer 'cnov'"):
        pairs(small, teacher, ["cnov:norm"], "features")
    with pytest.raises(ModelError, match="cannot be a hint by attention"):
        pairs(small, teacher, ["hidden:hidden"], "attention")[0].hint("attention", 1.0)
    with pytest.raises(ModelError, match="cannot be a hint by features"):
        pairs(small, teacher, ["hidden:conv"], "features")[0].hint("features", 1.0)


def test_no_two_features_of_one_size_is_told() -> None:
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, strides=3)(inputs)
    other = keras.Model(inputs, layers.Dense(3)(layers.Flatten(name="outer")(layers.Flatten()(x))))
    assert [str(p).split()[0] for p in pairs(other, tiny_model(), ["auto"], "features")] == [
        "outer"
    ]
    plain = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(x)))
    with pytest.raises(ModelError, match="no inner features"):
        pairs(plain, tiny_model(), ["auto"], "features")


def test_distances_of_features() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(size=(3, 4, 4, 5)).astype("float32")
    attention = AttentionDistance()
    np.testing.assert_allclose(attention((theirs, 7 * theirs)), 0, atol=1e-6)
    apart = float(attention((theirs, rng.normal(size=(3, 4, 4, 2)).astype("float32"))))
    maps = [(f**2).sum(-1).reshape(3, -1) for f in (theirs, theirs[::-1])]
    unit = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in maps]
    wanted = ((unit[0] - unit[1]) ** 2).sum(1).mean()
    np.testing.assert_allclose(attention((theirs, theirs[::-1])), wanted, rtol=1e-5)
    assert 0 < apart < 2
    features = FeatureDistance(2, 5)
    ours = rng.normal(size=(3, 4, 4, 2)).astype("float32")
    seen = ours @ np.asarray(features.regressor.kernel) + np.asarray(features.regressor.bias)
    wanted = ((theirs - seen) ** 2).mean() / (theirs**2).mean()
    np.testing.assert_allclose(features((theirs, ours)), wanted, rtol=1e-5)
    larger = rng.normal(size=(3, 8, 8, 5)).astype("float32")
    assert np.isfinite(float(features((larger, ours))))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["features", "attention"])
def test_hints_bring_features_nearer_and_leave_nothing_behind(tmp_path: Path, kind: str) -> None:
    teacher = tiny_model()
    hints = ["auto"] if kind == "features" else ["relu:relu"]
    training = {"epochs": 20, "lr": 1e-2, "teacher": "only"}
    x = np.random.default_rng(3).random((64, 8, 8, 1), dtype="float32")
    theirs = keras.Model(teacher.input, teacher.get_layer("relu").output)(x)

    def apart(model: keras.Model) -> float:
        ours = keras.Model(model.input, model.get_layer("relu").output)(x)
        return float(AttentionDistance()((theirs, ours)))

    alone, _ = taught(teacher, tmp_path, training, init="random")
    made, lent = taught(
        teacher, tmp_path, training, init="random", hints=hints, hint_kind=kind, hint_weight=3
    )
    assert [w.path for w in made.weights] == [w.path for w in alone.weights]
    assert any(f"hints by {kind}" in note for note in lent.notes)
    if kind == "attention":
        assert apart(made) < apart(alone)
    np.testing.assert_array_equal(outputs(opened_again(made, tmp_path, "distill")), outputs(made))


def test_an_ensemble_answers_with_the_weighted_mean(tmp_path: Path) -> None:
    other = shallow()
    other.save(tmp_path / "other.keras")
    options = Distill.of(
        {
            **{"student": "width=0.5", "weights": [1, 3], "teachers_preprocess": ["scale=2"]},
            "teachers": [str(tmp_path / "other.keras")],
        }
    ).options
    x = np.random.default_rng(0).random((5, 8, 8, 1), dtype="float32")
    model = tiny_model()
    wanted = 0.25 * np.asarray(model(x)) + 0.75 * np.asarray(other(2 * x))
    np.testing.assert_allclose(_averaged(model, options)(x), wanted, rtol=1e-4, atol=1e-6)
    made, _ = taught(model, tmp_path, teachers=options.teachers, noise=0.2)
    assert made.count_params() < model.count_params()


@pytest.mark.heavy
def test_assistants_stand_between_teacher_and_student(tmp_path: Path) -> None:
    made, lent = taught(tiny_model(), tmp_path, student="width=0.25", assistant=["auto", "auto"])
    said = [note for note in lent.notes if note.startswith("an assistant of")]
    numbers = [int(note.split()[3].replace(",", "")) for note in said]
    assert tiny_model().count_params() > numbers[0] > numbers[1] > made.count_params()
    assert lent.companions == ["assistant_1.keras", "assistant_2.keras"]
    kept = [keras.models.load_model(tmp_path / name).count_params() for name in lent.companions]
    assert kept == numbers


def test_a_hint_by_name_is_of_the_student_and_not_of_assistants(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(2, 3, padding="same", activation="relu", name="mine")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    own = keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(x))
    own.save(tmp_path / "own.keras")
    _, lent = taught(
        tiny_model(),
        tmp_path,
        student=str(tmp_path / "own.keras"),
        assistant=["width=0.7"],
        hints=["mine:relu"],
    )
    assert [note for note in lent.notes if "hints by" in note] == [
        "hints by features (student → teacher): mine → relu"
    ]


@given(st.floats(0.01, 0.9), st.integers(1, 4))
def test_assistants_halve_the_way(ratio: float, count: int) -> None:
    class Count:
        def __init__(self, parameters: float) -> None:
            self.parameters = parameters

    sizes = _sizes(["auto"] * count, Count(1.0), Count(ratio))  # type: ignore[arg-type]
    widths = [1.0, *(spec.width for spec in sizes), ratio**0.5]
    assert all(one >= other for one, other in itertools.pairwise(widths))


def test_without_its_teacher_the_student_learns_labels_alone(tmp_path: Path) -> None:
    made, lent = taught(
        tiny_model(), tmp_path, {"epochs": 12, "lr": 2e-2, "teacher": "none"}, init="random"
    )
    assert lent.notes[0].startswith(f"student width=0.5: {made.count_params():,} of ")
    assert lent.notes[0].endswith(" multiply-accumulates")
    assert "the student learned from labels alone, without its teacher" in lent.notes
    before, after = lent.evaluate(tiny_model()), lent.evaluate(made)
    said = f"validation score: the model before {before:.4f}, the student {after:.4f}"
    assert lent.notes[-1] == said
    assert "temperature" not in lent.facts
    assert lent.evaluate(made) > 0.9


@pytest.mark.parametrize("options", [{"assistant": ["auto"]}, {"online": 2}, {"hints": ["auto"]}])
def test_what_only_a_teacher_does_is_refused_without_one(
    options: dict[str, Any], tmp_path: Path
) -> None:
    (name,) = options
    with pytest.raises(UsageError, match=f"nobody is taught by --distill-{name}"):
        taught(tiny_model(), tmp_path, {"epochs": 1, "teacher": "none"}, **options)


def test_a_student_that_is_no_smaller_is_told(tmp_path: Path) -> None:
    large = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(200, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    large.save(tmp_path / "large.keras")
    _, lent = taught(tiny_model(), tmp_path, student=str(tmp_path / "large.keras"))
    assert "the student has no fewer parameters than its teacher" in lent.notes


@pytest.mark.slow
def test_values_are_distilled_too(tmp_path: Path) -> None:
    """A regression, and two outputs of which one is an image of classes."""
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    pixels = layers.Conv2D(3, 1, activation="softmax", name="pixels")(x)
    value = layers.Dense(2, name="value")(layers.GlobalAveragePooling2D()(x))
    teacher = keras.Model(inputs, [pixels, value])
    step = Distill.of({"student": "width=0.5"})
    lent = context(step, tiny_model(), teacher, tiny_data(labels=False), tmp_path)
    lent.training = Training(epochs=30, lr=1e-2, teacher="only").over(lent.training)
    given = np.random.default_rng(0).random((40, 8, 8, 1), dtype="float32")

    def named(model: keras.Model) -> dict[str, np.ndarray]:
        return dict(zip("ab", map(np.asarray, model(given)), strict=True))

    lent.agreement = lambda made: agreement(named(teacher), named(made))

    def apart(model: keras.Model) -> list[float]:
        answers = zip(model(given), teacher(given), strict=True)
        return [float(np.abs(np.asarray(a) - np.asarray(b)).mean()) for a, b in answers]

    start = student(Spec(width=0.5), teacher, lent, init="strongest", preprocess="none")
    before, after = apart(start), apart(step.apply(teacher, lent))
    assert after[0] < before[0]
    assert after[1] < before[1]


def test_the_method_is_one() -> None:
    check_method(Distill, {"student": "width=0.5"})


@pytest.mark.heavy
def test_one_command_distils_and_quantizes(
    tmp_path: Path, digits_model: Path, digits: Path
) -> None:
    def run() -> Any:
        return package.compress(
            digits_model,
            output=tmp_path / "small.tflite",
            distill="width=0.5",
            int8=True,
            epochs=3,
            lr=0.003,
            preprocess="scale=1/16",
            data=str(digits),
            rules="smoke",
            force=True,
        )

    report = run()
    steps = [row.step.partition("(")[0] for row in report.ledger.rows]
    assert steps == ["base", "base as float", "distill", "int8", "strip"]
    base, _, small, *_, final = report.ledger.rows
    assert small.parameters < 0.5 * base.parameters
    assert 0 < len(small.facts["curve"]) <= 3
    assert final.score.value > 0.8
    assert run().ledger.rows[2].reused


@pytest.mark.slow
def test_branches_teach_each_other_and_the_best_is_kept(tmp_path: Path) -> None:
    training = {"epochs": 6, "lr": 2e-2, "teacher": "none"}
    made, lent = taught(tiny_model(), tmp_path, training, online=3, init="random")
    assert [w.shape for w in made.weights] == [
        w.shape for w in taught(tiny_model(), tmp_path)[0].weights
    ]
    assert any("3 branches shared what is before" in note for note in lent.notes)
    assert lent.evaluate(made) > 0.6
    opened_again(made, tmp_path, "distill")
    with pytest.raises(UsageError, match="hints are of one student"):
        Distill.of({"student": "width=0.5", "online": 2, "hints": ["auto"]})


def test_branches_answer_together_by_their_gate(tmp_path: Path) -> None:
    branches = Branches(tiny_model(), 2)
    x = np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32")
    one, other, together = map(np.asarray, branches.model(x))
    np.testing.assert_allclose(one, tiny_model()(x), rtol=1e-5, atol=1e-6)
    gate = branches.model.get_layer("gate")
    gate.set_weights([np.zeros_like(gate.kernel), np.array([0.0, 80.0], "float32")])
    np.testing.assert_allclose(branches.model(x)[2], other, rtol=1e-4, atol=1e-6)
    assert (one != other).any()
    assert together.shape == one.shape
    one, other, together = map(np.asarray, branches.model(x, training=True))
    apart = SoftLoss("softmax", Distillation(3.0))
    np.testing.assert_allclose(
        sorted(map(float, branches.model.losses)),
        sorted([float(apart(together, one)), float(apart(together, other))]),
        rtol=1e-2,
        atol=1e-4,
    )
    assert waist(residual()).shape == (None, 8, 8, 4)
    with pytest.raises(ModelError, match="only students of one output"):
        Branches(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), 2)
