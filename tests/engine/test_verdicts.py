"""What is said of a step that lost more than chance would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeshrink.devices.measurement import RULES, DeviceInfo, Failure, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.engine.judging.verdicts import beside_weights, said_by_devices, teachable
from edgeshrink.engine.measuring.device_result import DeviceResult
from edgeshrink.engine.planning.request import PlannedStep
from edgeshrink.models.artifact import Artifact, Kind
from edgeshrink.plugins import installed
from edgeshrink.recipes.training import Training
from edgeshrink.results.ledger import Row
from edgeshrink.results.metric import Score


def top1(value: float) -> tuple[Score, ...]:
    return (Score("top1", value, 0, 1, 99, True),)


BASE = Row("base", "keras", "m.keras", "0", 100, 100, 1, 400, 400, top1(0.9))
FELL = replace(BASE, step="prune(sparsity=0.9)", scores=top1(0.7), p_value=0)
ALONE = Training(epochs=3, teacher="none")


def planned(name: str, training: Training | None, **values: object) -> PlannedStep:
    return PlannedStep(installed().methods[name].of(values), training, ())


def test_a_step_that_lost_with_labels_alone_is_told_of_the_teacher() -> None:
    (said,) = teachable(planned("prune", ALONE, sparsity=0.9), FELL, BASE, BASE)
    assert said.startswith("prune(sparsity=0.9) trained on labels alone")
    assert "--teacher original" in said


def test_a_step_that_could_train_longer_is_told_so() -> None:
    chosen = replace(FELL, facts={"training": {"epochs": 1, "lr": 1e-3}})
    assert teachable(planned("prune", Training(), sparsity=0.9), chosen, BASE, BASE) == [
        "prune(sparsity=0.9) lost more than chance would, after 1 epoch: --effort thorough trains "
        "longer"
    ]
    thorough = planned("prune", Training(effort="thorough", teacher="original"), sparsity=0.9)
    assert teachable(thorough, chosen, BASE, BASE) == []


def test_devices_are_named_in_what_they_say(tmp_path: Path) -> None:
    file, pi = Artifact(tmp_path / "m.tflite", Kind.TFLITE), DeviceProfile("pi")
    timed = Measurement("m", "d", DeviceInfo("pi"), RULES["smoke"], (1,) * 9, 1.0, 1.0, 1, "none")
    hot = replace(timed, disturbed=("the device said of itself: throttled",))
    lost = DeviceResult(file, pi, failure=Failure("m", "pi", "it went away", lost=True))
    assert said_by_devices([DeviceResult(file, pi, hot, notes=("a note",)), lost]) == [
        "on pi: a note",
        "on pi, not valid: the device said of itself: throttled",
        "not measured on pi: it went away",
    ]


@pytest.mark.parametrize(
    ("training", "row", "before"),
    [
        (None, FELL, BASE),
        (replace(ALONE, epochs=0), FELL, BASE),
        (replace(ALONE, teacher="original"), FELL, BASE),
        (ALONE, replace(FELL, p_value=0.3), BASE),
        (ALONE, replace(FELL, scores=top1(0.95)), BASE),
        (ALONE, replace(FELL, scores=()), BASE),
        (ALONE, FELL, replace(FELL, step="shrink(ratio=0.5)")),  # that step lost it
    ],
)
def test_nothing_is_said_where_a_teacher_is_not_what_was_missing(
    training: Training | None, row: Row, before: Row
) -> None:
    assert teachable(planned("prune", training, sparsity=0.9), row, before, BASE) == []


def test_a_student_that_was_to_learn_alone_is_not_told() -> None:
    assert teachable(planned("distill", ALONE, student="width=0.5"), FELL, BASE, BASE) == []


def test_what_of_the_base_is_not_counted_is_told(tmp_path: Path) -> None:
    whole, counted = (Artifact(tmp_path / name, Kind.KERAS) for name in ("m.keras", "base.keras"))
    whole.path.write_bytes(bytes(3000))
    counted.path.write_bytes(bytes(1000))
    assert beside_weights(whole, counted) == (
        "its file has 3,000 bytes; 2,000 of them are the state of an optimizer and the like, which "
        "no device needs: 1,000 are counted"
    )
    assert beside_weights(counted, counted) == beside_weights(counted, whole) == ""
    assert beside_weights(Artifact(tmp_path, Kind.SAVEDMODEL), counted) == ""
