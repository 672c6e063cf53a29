"""Settings that nobody gave: chosen from the damaged start, the same each time, flags first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.nn.learning.choosing import (
    EFFORTS,
    LEAST_EPOCHS,
    MOST_EPOCHS,
    _mean,
    chosen_training,
    epochs_of,
)
from edgeshrink.nn.learning.finetuning import finetune
from edgeshrink.nn.learning.masks import Masks
from edgeshrink.nn.learning.rates import HIGHEST, LOWEST, RangeTest, Rate
from edgeshrink.nn.learning.supervision import Supervision
from edgeshrink.recipes.context import Context
from edgeshrink.recipes.training import Training

layers = keras.layers
Lent = Callable[..., Context]


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8,), name="x"),
            layers.Dense(16, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture
def lent(blobs: Any, tmp_path: Path) -> Lent:
    data = blobs.for_model({"x": (None, 8)})

    def context(**settings: Any) -> Context:
        def right(model: keras.Model) -> np.ndarray:
            part = data.validation
            outputs = np.asarray(
                model.predict_on_batch(data.values(part, np.arange(len(part)))["x"])
            )
            return (outputs.argmax(-1) == part.labels).astype(float)

        def evaluate(model: keras.Model) -> float:
            return float(right(model).mean())

        return Context(
            data=data,
            profile=DeviceProfile("test"),
            folder=tmp_path,
            seed=0,
            training=Training(batch_size=32, **settings),
            progress=lambda share, note: None,
            original=small,
            evaluate=evaluate,
            agreement=lambda model: None,
            measure=lambda model: None,
            log=tmp_path / "log",
            evaluate_each=right,
        )

    return context


def test_the_rate_falls_along_a_cosine_or_rises_through_its_range() -> None:
    rate = Rate()
    rate.peak.assign(0.01)
    rate.total.assign(100.0)
    np.testing.assert_allclose([rate(s) for s in (0, 50, 100, 120)], [0.01, 0.005, 0, 0], atol=1e-8)
    rate.rising.assign(1.0)
    np.testing.assert_allclose([rate(s) for s in (0, 100)], [LOWEST, HIGHEST], rtol=1e-5)
    assert float(rate(50)) == pytest.approx((LOWEST * HIGHEST) ** 0.5, rel=1e-5)


def told(losses: list[float]) -> RangeTest:
    """Return a test that saw these losses of batches, of which Keras tells running means."""
    test = RangeTest(len(losses))
    test.set_model(SimpleNamespace(stop_training=False))
    for batch in range(len(losses)):
        test.on_train_batch_end(batch, {"loss": float(np.mean(losses[: batch + 1]))})
        if test.model.stop_training:
            break
    return test


def test_the_peak_is_below_the_rate_at_which_the_loss_is_least() -> None:
    steps = np.arange(200)
    losses = [float(1 - 0.9 * np.exp(-(((step - 120) / 40) ** 2))) for step in steps]
    peak = told(losses).peak()
    assert peak is not None
    least = LOWEST * (HIGHEST / LOWEST) ** (120 / 200)
    assert least / 12 < peak < least / 3


def test_a_range_test_ends_where_the_loss_diverges() -> None:
    test = told([1.0] * 50 + [100.0] * 150)
    assert len(test.losses) < 60
    assert told([float("nan")] * 50).peak() is None


@pytest.mark.heavy
def test_what_is_chosen_is_whole_told_and_the_same_each_time(lent: Lent) -> None:
    model = small()
    before = model.get_weights()
    first, second = lent(), lent()
    settings = chosen_training(model, first).training
    assert None not in (settings.epochs, settings.lr, settings.teacher)
    assert settings == chosen_training(model, second).training
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    names = ("epochs", "lr", "teacher", "shift")
    assert first.facts["training"] == {name: getattr(settings, name) for name in names}
    (note,) = first.notes
    assert note.startswith(f"chosen: {settings.epochs} epochs, peak rate {settings.lr:g}, ")
    assert "the original's answers beside the labels (" in note


@pytest.mark.parametrize("given", [{"epochs": 2}, {"lr": 0.5}, {"teacher": "none"}])
def test_a_flag_goes_before_what_would_be_chosen(lent: Lent, given: dict[str, Any]) -> None:
    context = lent(**given)
    settings = chosen_training(small(), context).training
    assert {name: getattr(settings, name) for name in given} == given
    assert set(context.facts["training"]) == {"epochs", "lr", "teacher", "shift"} - set(given)


def test_nothing_is_tried_where_rate_and_epochs_are_given(lent: Lent) -> None:
    context = lent(epochs=1, lr=1e-3)
    assert chosen_training(small(), context) is context
    assert context.notes == []


def test_more_effort_is_longer(lent: Lent) -> None:
    found = [
        chosen_training(small(), lent(effort=effort, lr=1e-3, teacher="none")).training.epochs
        for effort in EFFORTS
    ]
    assert found == sorted(set(found))


def test_rounds_of_a_step_share_what_was_chosen(lent: Lent) -> None:
    context = lent()
    first = chosen_training(small(), context).training
    later = replace(context, training=replace(context.training, epochs=1))
    settings = chosen_training(small(), later).training
    assert (settings.lr, settings.teacher, settings.epochs) == (first.lr, first.teacher, 1)
    assert len(context.notes) == 1


def test_a_schedule_is_tried_in_its_final_form_and_begins_again(lent: Lent) -> None:
    class Half:
        """Zeros half of a kernel when it is told that all is done."""

        settled = True

        def __init__(self, masks: Masks, shape: tuple[int, ...]) -> None:
            self.masks, self.shape, self.seen = masks, shape, list[float]()

        def update(self, share: float) -> None:
            self.seen.append(share)
            mask = np.ones(self.shape, "float32")
            mask[: len(mask) // 2] = 0 if share == 1.0 else 1
            self.masks.assign([mask])

    model = small()
    kernel = model.layers[-1].kernel
    before = np.asarray(kernel).copy()
    masks = Masks([kernel])
    schedule = Half(masks, tuple(kernel.shape))
    chosen_training(model, lent(teacher="none"), masks, schedule)
    assert schedule.seen == [1.0, 0.0]
    np.testing.assert_array_equal(np.asarray(kernel), before)


def test_a_loss_that_is_no_number_at_any_rate_is_refused(lent: Lent) -> None:
    model = small()
    model.layers[-1].bias.assign([np.nan, 0, 0])
    with pytest.raises(EdgeshrinkError, match="no number at any learning rate"):
        chosen_training(model, lent())


@pytest.mark.heavy
def test_a_model_learns_by_what_was_chosen(lent: Lent) -> None:
    model, context = small(), lent()
    before = context.evaluate(model)
    finetune(model, context)
    assert context.evaluate(model) > max(before + 0.2, 0.9)


@pytest.mark.parametrize("lacking", ["validation", "labels"])
def test_without_scores_the_rate_alone_is_chosen(lent: Lent, lacking: str) -> None:
    context = lent(epochs=10, teacher="original" if lacking == "labels" else None)
    data = context.data
    assert data is not None
    if lacking == "labels":
        data = replace(data, train=replace(data.train, all_labels=None))
    else:
        data = replace(data, validation=None)
    context = replace(context, data=data, evaluate_each=lambda model: None)
    model = small()
    model.layers[-1].bias.assign([1, 0, 0])
    settings = chosen_training(model, context).training
    assert settings.teacher == ("original" if lacking == "labels" else "none")
    assert settings.lr > LOWEST
    assert context.notes == [f"chosen: peak rate {settings.lr:g}"]


def test_few_steps_are_not_worth_a_trial(lent: Lent) -> None:
    settings = chosen_training(small(), lent(epochs=1, epoch_size=128)).training
    assert (settings.lr, settings.teacher, settings.shift) == (1e-4, "none", 0)
    settings = chosen_training(small(), lent(epochs=4)).training
    assert settings.lr != 1e-4
    assert (settings.teacher, settings.shift) == ("none", 0)


def test_chosen_epochs_have_a_limit(lent: Lent) -> None:
    context = lent(max_epochs=2, lr=1e-3, teacher="none")
    assert chosen_training(small(), context).training.epochs == 2


def test_noise_is_a_standard_error_and_wider_where_samples_are_few() -> None:
    changes = np.array([0.0, 1e-6] * 500)
    gain, noise = _mean(changes)
    assert gain == pytest.approx(5e-7)
    assert noise == pytest.approx(changes.std(ddof=1) / 1000**0.5, rel=0.02)
    few = _mean(np.array([0.0, 1.0, 0.0, 1.0, 0.0]))
    assert few[0] < few[1]
    assert _mean(np.array([1.0]))[1] == np.inf


def test_a_negative_loss_that_falls_has_not_diverged() -> None:
    test = told([-0.5 - 0.004 * step for step in range(100)])
    assert len(test.losses) == 100
    assert test.peak() > 1e-3


@pytest.mark.heavy
def test_finetuning_on_what_is_given_chooses_the_rest(lent: Lent) -> None:
    context = lent()
    finetune(small(), context, taught=Supervision())
    assert set(context.facts["training"]) >= {"epochs", "lr"}
    assert "answers" not in context.notes[0]


def test_dropout_is_the_same_each_time(lent: Lent) -> None:
    def dropping() -> keras.Model:
        keras.utils.set_random_seed(3)
        return keras.Sequential(
            [
                keras.Input((8,), name="x"),
                layers.Dense(16, activation="relu"),
                layers.Dropout(0.5),
                layers.Dense(3, activation="softmax"),
            ]
        )

    chosen, context = dropping(), lent(epochs=2, effort="quick")
    start = chosen.get_weights()
    finetune(chosen, context)
    again = dropping()
    again.set_weights(start)
    finetune(again, lent(epochs=2, effort="quick", **context.facts["training"]))
    for one, other in zip(chosen.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.heavy
def test_a_harmless_step_is_short_and_a_heavy_one_long(lent: Lent) -> None:
    def learned() -> keras.Model:
        model = small()
        finetune(model, lent(epochs=20, lr=3e-2))
        return model

    def length(part: float) -> int:
        model = learned()
        kernel = np.asarray(model.layers[0].kernel)
        model.layers[0].kernel.assign(kernel * np.where(np.arange(16) < 16 * part, 0, 1 - 1e-6))
        context = replace(lent(effort="quick", lr=1e-5, teacher="none"), original=learned)
        longer = {"quick": replace(EFFORTS["quick"], epochs=30, long=40)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("edgeshrink.nn.learning.choosing.EFFORTS", {**longer})
            return chosen_training(model, context).training.epochs

    assert length(0.0) == 30
    assert length(1.0) == 40


@given(
    macs=st.integers(0, 10**9), shown=st.integers(1, 10**6), effort=st.sampled_from(list(EFFORTS))
)
def test_epochs_are_bounded_by_the_work(macs: int, shown: int, effort: str) -> None:
    limits, steps = EFFORTS[effort], -(-shown // 64)
    epochs = epochs_of(limits, macs, shown, steps)
    assert 1 <= epochs <= max(limits.epochs, MOST_EPOCHS)
    assert epochs <= LEAST_EPOCHS or epochs * macs * shown <= limits.work
    assert epochs_of(limits, macs, shown, steps) >= epochs_of(limits, 2 * macs, shown, steps)
