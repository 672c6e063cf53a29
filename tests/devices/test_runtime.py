"""Runtimes and their sessions: what all of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeshrink.devices import BenchPlan, DeviceInfo, Failure, Measurement, Runtime, Session
from edgeshrink.errors import CommandFailed, TargetError, UsageError
from edgeshrink.plugins import installed


class Alone(Session):
    """Measures a model by itself: `small` well, `lost` not, others badly."""

    def facts(self) -> DeviceInfo:
        return DeviceInfo("board")

    def predict(self, model: Path, inputs: Any, progress: Any = None) -> Any:
        raise NotImplementedError

    def measure(self, model: Path, plan: BenchPlan) -> Measurement:
        if model.stem == "lost":
            raise TargetError("the board is gone")
        if model.stem != "small":
            raise CommandFailed("it is too large")
        return Measurement(str(model), "", self.facts(), plan, (1, 2), 1.0, 1.0, 1, "its own")


class Nothing(Runtime):
    name = "nothing"

    def open(self, target: Any, workdir: str, profile: Any) -> Session:
        return self.other("litert").open(target, workdir, profile)


def test_models_are_measured_one_after_another_and_an_error_is_a_failure() -> None:
    told: list[tuple[float, str]] = []
    models = [Path(f"{name}.tflite") for name in ("large", "small", "lost", "small")]
    found = Alone().time(models, BenchPlan(), lambda share, note: told.append((share, note)))
    assert found[0] == Failure("large.tflite", "board", "it is too large")
    assert found[2] == Failure("lost.tflite", "board", "the board is gone", lost=True)
    assert [type(one) for one in found[1::2]] == [Measurement, Measurement]
    assert told[:2] == [(0.0, "large.tflite"), (0.25, "small.tflite")]


def test_a_session_that_defines_neither_says_so() -> None:
    class Empty(Alone):
        measure = Session.measure

    with pytest.raises(NotImplementedError, match="Empty defines neither measure nor time"):
        Empty().time([Path("small.tflite")], BenchPlan())


def test_a_runtime_finds_another_or_says_that_there_is_none() -> None:
    with pytest.raises(UsageError, match="nothing needs the runtime litert, which no plugin has"):
        Nothing().open(None, "", None)
    assert installed().runtime("ethosu").other("litert").name == "litert"
