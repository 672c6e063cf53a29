"""What counts in a search, on devices that are measured and on those that a compiler tells of."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from edgeshrink.devices import DeviceProfile, Estimate
from edgeshrink.engine.searching.goals import (
    GOALS,
    check_told,
    most_of,
    picked_by,
    value_of,
    wanted,
)
from edgeshrink.errors import UsageError
from edgeshrink.results import Budgets, Figures, OnDevice, Score, SearchReport, Trial, search_heads

MADE = Estimate("Vela 5.2.0", 11, 2, 900, 1_000, 0.002, 600, 5_000, 2_000)
NPU = replace(DeviceProfile("npu"), compiled=True)


def test_the_usual_goals_are_what_a_device_tells() -> None:
    assert wanted((), Budgets(), DeviceProfile("desktop")) == ("bytes", "ms")
    assert wanted((), Budgets(), NPU) == ("flash", "cycles")
    assert wanted(("bytes",), Budgets(max_arena="64kB"), NPU) == ("bytes", "arena")
    assert wanted(("ms",), Budgets(max_ms="5"), NPU) == ("ms",)


def test_values_are_those_of_the_device_and_missing_where_it_tells_none() -> None:
    figures = Figures("the result", 7_000, on=(OnDevice("npu", estimate=MADE),))
    values = {goal: value_of(figures, goal) for goal in GOALS}
    assert values.pop("bytes") == 7_000
    assert values.pop("flash") == 5_000
    assert values.pop("cycles") == 1_000
    assert all(map(math.isnan, values.values()))
    assert math.isnan(value_of(Figures("the result", 7_000), "cycles"))
    assert most_of(Budgets(max_bytes="100kB", max_ms="5"), "bytes") == 100_000
    assert most_of(Budgets(max_ms="5"), "ms") == 5
    assert most_of(Budgets(max_ms="p90<5"), "ms") == math.inf
    assert most_of(Budgets(), "cycles") == math.inf


def test_a_rule_picks_by_the_goal_that_it_means_or_is_refused() -> None:
    assert picked_by("best", ("bytes",)) == "score"
    assert picked_by("smallest", ("bytes", "ms")) == "bytes"
    assert picked_by("smallest", ("flash", "cycles")) == "flash"
    assert picked_by("fastest", ("flash", "cycles")) == "cycles"
    with pytest.raises(UsageError, match="received --goals bytes") as refused:
        picked_by("fastest", ("bytes",))
    assert "ms, cycles" in refused.value.hint


def test_a_report_without_bytes_has_a_front_and_calls_an_estimate_one() -> None:
    score = Score("top1", 0.9, 0.8, 1.0, 100, True)
    trials = tuple(
        Trial(k, {"precision": "int8"}, "measured", score, {"cycles": cycles}, on_front=True)
        for k, cycles in enumerate((300.0, 100.0, 200.0))
    )
    report = SearchReport("m", "o", "", "npu", ("cycles",), (), score, {}, 3, "", trials, 0, "knee")
    assert [trial.number for trial in report.front] == [1, 2, 0]
    assert search_heads(report)[-1] == "est. cycles"


@pytest.mark.parametrize(
    ("goals", "device", "said"),
    [
        (
            ("bytes", "flash"),
            DeviceProfile("desktop"),
            "desktop tells no flash: it compiles nothing",
        ),
        (("cycles",), DeviceProfile("desktop"), "desktop tells no cycles"),
        (("flash", "ms"), NPU, "npu tells no ms: it is estimated, not measured"),
    ],
)
def test_what_a_device_never_tells_is_refused(
    goals: tuple[str, ...], device: DeviceProfile, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        check_told(goals, device)
    assert refused.value.hint.endswith(", or another --device")
    check_told(("bytes", "arena"), device)
    check_told(wanted((), Budgets(), device), device)
