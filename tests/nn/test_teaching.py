"""Soft targets: the losses agree with their definitions, at every temperature."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies as st
from scipy.special import expit, log_softmax, rel_entr, softmax
from scipy.stats import zscore
from small_training import context, renamed, small

from edgeshrink.nn.learning.distillation import Distillation, SoftLoss, logits_of
from edgeshrink.nn.learning.finetuning import finetune
from edgeshrink.nn.learning.soft_targets import answers
from edgeshrink.nn.learning.supervision import Supervision, training_batches
from edgeshrink.nn.learning.training import Course
from edgeshrink.recipes.training import Training
from edgeshrink.samples import dataset as datasets

RNG = np.random.default_rng(0)
TEMPERATURES = st.floats(0.3, 40)


def drawn(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    return tuple(RNG.normal(0, 4, shape).astype("float32") for _ in range(2))  # type: ignore[return-value]


@settings(max_examples=15)
@given(TEMPERATURES, st.sampled_from(["softmax", "logits"]))
def test_softened_probabilities_are_as_far_apart_as_their_divergence(
    temperature: float, activation: str
) -> None:
    theirs, ours = drawn(50, 7)
    apart = rel_entr(softmax(theirs / temperature, -1), softmax(ours / temperature, -1)).sum(-1)
    given = (softmax(theirs, -1), softmax(ours, -1)) if activation == "softmax" else (theirs, ours)
    loss = SoftLoss(activation, Distillation(temperature))(*given)
    np.testing.assert_allclose(loss, temperature**2 * apart.mean(), rtol=1e-3, atol=1e-5)


@settings(max_examples=15)
@given(TEMPERATURES)
def test_of_two_classes_too(temperature: float) -> None:
    theirs, ours = (np.clip(logits, -9, 9) for logits in drawn(50, 2))
    p, q = (np.stack([expit(s * x / temperature) for s in (1, -1)]) for x in (theirs, ours))
    apart = temperature**2 * rel_entr(p, q).sum(0).mean()
    loss = SoftLoss("sigmoid", Distillation(temperature))(expit(theirs), expit(ours))
    np.testing.assert_allclose(loss, apart, rtol=2e-2, atol=1e-4)


def test_logits_are_found_behind_a_softmax_and_a_sigmoid() -> None:
    logits, _ = drawn(20, 5)
    found = np.asarray(logits_of("softmax", softmax(logits, -1)))
    np.testing.assert_allclose(found, log_softmax(logits, -1), rtol=1e-4, atol=1e-4)
    small = np.clip(logits, -8, 8)
    np.testing.assert_allclose(logits_of("sigmoid", expit(small)), small, rtol=1e-3, atol=1e-3)


def test_logits_match_up_to_a_constant_where_softmax_is_blind_to_it() -> None:
    logits, _ = drawn(20, 5)
    loss = SoftLoss("softmax", Distillation(match="mse"))
    same = loss(softmax(logits, -1), softmax(logits + 3, -1))
    np.testing.assert_allclose(same, 0, atol=1e-6)
    assert float(loss(softmax(logits, -1), softmax(2 * logits, -1))) > 0.1


@settings(max_examples=15)
@given(TEMPERATURES, st.floats(0.1, 10), st.floats(-5, 5), st.sampled_from(["softmax", "logits"]))
def test_z_scores_are_blind_to_the_size_of_logits(
    temperature: float, size: float, shift: float, activation: str
) -> None:
    theirs, ours = drawn(50, 7)
    scores = [zscore(logits, axis=-1) / temperature for logits in (theirs, ours)]
    apart = rel_entr(*(softmax(one, -1) for one in scores)).sum(-1).mean()
    loss = SoftLoss(activation, Distillation(temperature, match="zscore"))
    for other in (ours, size * ours + shift):
        given = (theirs, other)
        if activation == "softmax":
            given = tuple(softmax(logits.astype("float64"), -1) for logits in given)
            if min(one.min() for one in given) < 1e-35:  # what float32 cannot hold is lost
                continue
        np.testing.assert_allclose(loss(*given), temperature**2 * apart, rtol=1e-2, atol=1e-4)


def test_equal_logits_have_a_gradient() -> None:
    logits = keras.Variable(np.zeros((3, 4), "float32"))
    loss = SoftLoss("logits", Distillation(2.0, match="zscore"))
    with tf.GradientTape() as tape:
        apart = loss(np.eye(4, dtype="float32")[:3], logits.value)
    (gradient,) = tape.gradient(apart, [logits.value])
    assert np.isfinite(np.asarray(gradient)).all()


def test_values_are_followed_as_they_are() -> None:
    theirs, ours = drawn(20, 5)
    for temperature in (1.0, 9.0):
        loss = SoftLoss("linear", Distillation(temperature))(theirs, ours)
        np.testing.assert_allclose(loss, ((theirs - ours) ** 2).mean(), rtol=1e-5)


def test_a_vanished_probability_gives_no_nan() -> None:
    certain = np.eye(4, dtype="float32")
    turned = np.roll(certain, 1, axis=1)
    assert np.isfinite(float(SoftLoss("softmax", Distillation(2.0))(certain, turned)))
    assert np.isfinite(float(SoftLoss("sigmoid", Distillation(2.0))(certain, turned)))


def test_a_noisy_teacher_answers_differently_each_time() -> None:
    theirs, ours = drawn(20, 5)
    loss = SoftLoss("logits", Distillation(noise=0.3))
    told = {float(loss(theirs, ours)) for _ in range(3)}
    assert len(told) == 3
    assert np.mean(list(told)) == pytest.approx(
        float(SoftLoss("logits", Distillation())(theirs, ours)), rel=0.5
    )


def test_answers_are_asked_once_where_samples_stay_as_they_are(
    blobs: datasets.Dataset,
    tmp_path: Path,
) -> None:
    teacher = small()
    lent = context(renamed(blobs, teacher), tmp_path)
    kept = answers(teacher, teacher, lent)
    assert kept is not None
    assert lent.data is not None
    assert lent.data.train is not None
    values = lent.data.values(lent.data.train, np.arange(len(lent.data.train)))
    wanted = teacher.predict_on_batch(next(iter(values.values())))
    np.testing.assert_allclose(kept[0], wanted, rtol=1e-5, atol=1e-6)
    varied = context(renamed(blobs, teacher), tmp_path, shift=1)
    assert answers(teacher, teacher, varied) is None


def test_answers_are_asked_once_of_the_same_teacher(
    blobs: datasets.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, asked = small(), []
    lent = context(renamed(blobs, teacher), tmp_path)
    ask = teacher.predict_on_batch
    monkeypatch.setattr(teacher, "predict_on_batch", lambda x: asked.append(1) or ask(x))
    first = answers(teacher, teacher, lent)
    assert first is not None
    times = len(asked)
    assert times
    again = answers(teacher, teacher, lent)
    np.testing.assert_array_equal(first, again)
    assert len(asked) == times
    (file,) = tmp_path.glob("answers-*.npz")
    file.write_bytes(file.read_bytes()[:-100])  # damaged: asked anew
    np.testing.assert_array_equal(first, answers(teacher, teacher, lent))
    assert len(asked) == 2 * times
    teacher.layers[-1].bias.assign_add(np.float32([1, 0, 0]))  # another teacher
    assert not np.allclose(first, answers(teacher, teacher, lent))
    few = context(renamed(blobs, teacher), tmp_path, epochs=1, epoch_size=5)
    assert answers(teacher, teacher, few) is None


def test_kept_answers_stay_with_their_samples(
    blobs: datasets.Dataset,
    tmp_path: Path,
) -> None:
    teacher = small()
    lent = context(renamed(blobs, teacher), tmp_path)
    kept = answers(teacher, teacher, lent)
    assert kept is not None
    x, targets = next(iter(training_batches(teacher, lent, {}, 40, kept)))
    np.testing.assert_allclose(
        targets["taught"]["0"], teacher.predict_on_batch(x), rtol=1e-5, atol=1e-6
    )


def test_kept_answers_teach_as_the_teacher_itself(
    blobs: datasets.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for limit in (1 << 30, 0):
        monkeypatch.setattr("edgeshrink.nn.learning.soft_targets.HELD_BYTES", limit)
        model = small()
        model.layers[0].kernel.assign(np.asarray(model.layers[0].kernel) * 0.1)
        lent = context(renamed(blobs, model), tmp_path, teacher="only", temperature=3.0)
        finetune(model, lent)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_alpha_is_the_share_of_labels(
    blobs: datasets.Dataset,
    tmp_path: Path,
) -> None:
    """With labels alone a hopeless teacher does no harm; with the teacher alone it does."""

    def score(alpha: float) -> float:
        hopeless, model = small(), small()
        hopeless.layers[-1].bias.assign([50.0, 0.0, 0.0])
        lent = context(renamed(blobs, model), tmp_path, teacher="original", alpha=alpha)
        lent.original = lambda: hopeless
        finetune(model, lent)
        return lent.evaluate(model) or 0.0

    assert score(1.0) > 0.9
    assert score(0.0) < 0.6


def test_a_course_runs_again_without_compiling_anew(
    blobs: datasets.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, warmth = small(), keras.Variable(1.0, trainable=False)
    lent = context(renamed(blobs, model), tmp_path, epochs=2)
    teacher = small()
    finetune(teacher, context(renamed(blobs, teacher), tmp_path))
    start = model.get_weights()
    course = Course(model, lent, taught=Supervision(teacher, Distillation(warmth, alpha=0.0)))
    traced, counts, whole, made = [], [], course._trainee.compute_loss, []
    monkeypatch.setattr(  # Python is called while the step is traced, and not when it runs
        course._trainee, "compute_loss", lambda *args, **kw: traced.append(1) or whole(*args, **kw)
    )
    for temperature in (1.0, 8.0, 1.0):
        model.set_weights(start)
        warmth.assign(temperature)
        course.run()
        made.append([np.array(w) for w in model.get_weights()])
        counts.append(len(traced))
    assert counts == counts[:1] * 3
    for first, other, again in zip(*made, strict=True):
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_settings_that_make_no_sense_are_refused() -> None:
    from edgeshrink.errors import UsageError
    from edgeshrink.flag import build

    for values in ({"temperature": 0.0}, {"temperature": -1.0}, {"alpha": 1.5}, {"alpha": -0.1}):
        with pytest.raises(UsageError):
            build(Training, values, "training")
