"""Training without compression: a base from random weights, and a control for every method."""

from __future__ import annotations

import numpy as np
import pytest

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import UsageError
from edgeshrink.recipes.method import Plan
from edgeshrink.testing import check_light, check_method, running, tiny_data, tiny_model
from edgeshrink_train import Train


def test_it_is_a_method_like_any_other():
    check_light("edgeshrink_train")
    check_method(Train)


def test_the_score_rises_and_is_told(tmp_path):
    step = Train.of({}, {"epochs": 4, "lr": 1e-2, "batch_size": 16, "teacher": "none"})
    model = tiny_model()
    before = [np.asarray(v).copy() for v in model.trainable_variables]
    context = running.context(step, model, model, tiny_data(), tmp_path)
    context.training = step.tuning
    step.apply(model, context)
    facts = context.facts
    assert facts["epochs"] == 4
    assert facts["validation_after"] > facts["validation_before"]
    assert context.notes[-1] == (
        f"trained for 4 epochs: {facts['validation_before']:.4g} on validation samples before, "
        f"{facts['validation_after']:.4g} after"
    )
    after = [np.asarray(v) for v in model.trainable_variables]
    assert any((old != new).any() for old, new in zip(before, after, strict=True))


def test_nothing_to_learn_from_is_refused():
    data = tiny_data()
    with pytest.raises(UsageError, match="train needs training samples"):
        Train().check(
            Plan(None, (), (), type(data)("x", None, None, None, data.test), DeviceProfile("d"))
        )
