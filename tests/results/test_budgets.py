"""Budgets: how they are written, and what is said of figures that keep them or do not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from edgeshrink.devices import DeviceInfo
from edgeshrink.errors import UsageError
from edgeshrink.flag import build
from edgeshrink.results import Budgets, Figures, Latency, OnDevice, Rule, Verdict, rules_of
from edgeshrink.results.budgets import UNITS, MostTime, bytes_of

MACHINE = DeviceInfo("board", "Cortex-A72", "aarch64", 4, runtime="LiteRT")
TIME = Latency("board", 10.0, 12.0, 0.01, 500, 1, True)
SCORE = Verdict("top1", 0.9, 0.88, 1000, p_value=0.01, guess=0.1)
FOUND = Figures(
    "the result",
    100_000,
    {"": SCORE},
    (OnDevice("board", TIME, kernels="xnnpack"),),
    {"board": MACHINE},
    "d",
    "b",
)
BEFORE = replace(FOUND, name="the baseline", verdicts={"": replace(SCORE, after=0.9)})


def rule(found: Figures = FOUND, beside: Figures | None = BEFORE, **asked: Any) -> Rule:
    (one,) = rules_of(Budgets(**asked), found, beside)
    return one


def timed(kernels: str = "xnnpack", **more: Any) -> Figures:
    latency = replace(TIME, **more)
    return replace(FOUND, on=(OnDevice("board", latency, kernels=kernels),))


def scored(**more: Any) -> Figures:
    return replace(FOUND, verdicts={"": replace(SCORE, **more)})


def refused(key: str, text: str) -> str:
    """Return what is said of a text; nothing where it is taken."""
    try:
        Budgets(**{key: text})
    except UsageError as error:
        return str(error)
    return ""


@given(st.integers(1, 10**9), st.sampled_from(sorted(UNITS)), st.booleans(), st.booleans())
def test_a_size_is_read_with_any_unit(count: int, unit: str, upper: bool, apart: bool) -> None:
    written = f"{count}{' ' if apart and unit else ''}{unit.upper() if upper else unit}"
    assert bytes_of(written, "--max-bytes") == count * UNITS[unit]
    assert Budgets(max_bytes=written).most_bytes == count * UNITS[unit]


@given(st.decimals(0, 10**9, places=3))
def test_a_size_with_a_fraction_is_exact(count: Any) -> None:
    if count * 1000 >= 1:
        assert bytes_of(f"{count}kB", "--max-bytes") == int(count * 1000)


@given(st.decimals("0.001", 10**6, places=3), st.sampled_from(["", "median<", "p90<", "p90 <= "]))
def test_a_time_is_read_for_the_median_or_p90(ms: Any, how: str) -> None:
    wanted = MostTime("p90" if how.startswith("p90") else "median", float(ms))
    assert Budgets(max_ms=f"{how}{ms}").most_time == wanted


@given(st.text(max_size=12))
def test_any_other_text_is_a_sentence(text: str) -> None:
    for key, word in (("max_bytes", "size"), ("max_arena", "size"), ("max_ms", "milliseconds")):
        told = refused(key, text)
        assert told == "" or (f"--{key.replace('_', '-')} must be" in told and word in told)


@pytest.mark.parametrize(
    "text", ["0", "-1", "1e9", "ib", "1TB", "0.0001kB", "١kB", "9" * 5000, "x"]
)
def test_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-arena must be a size of at least a byte"):
        build(Budgets, {"max_arena": text}, "check")


@pytest.mark.parametrize("text", ["0", "-5", "p99<5", "p90>5", "p90", "<5", "nan", "5,5", "5s"])
def test_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-ms must be milliseconds above 0"):
        build(Budgets, {"max_ms": text}, "check")


def test_nothing_asked_is_no_rule() -> None:
    for none in (Budgets(), Budgets(max_drop="none")):
        assert not none.any
        assert rules_of(none, FOUND, BEFORE) == ()


@pytest.mark.parametrize(
    ("asked", "kept"), [("1", False), ("1%", False), ("2%", True), ("0", False)]
)
def test_what_is_lost_is_held_against_points(asked: str, kept: bool) -> None:
    found = rule(max_drop=asked)
    most = f"at most {asked.rstrip('%')}.00 points" if asked != "0" else "nothing"
    assert found.text == f"the result lost 2.00 points, where {most} may be lost"
    assert found.kept is kept
    assert str(found).startswith("kept: --max-drop" if kept else "NOT kept: --max-drop")


def test_a_percentage_of_a_score_that_is_no_share_is_of_what_it_was() -> None:
    now = scored(metric="mae", before=2.0, after=2.1, higher_is_better=False)
    then = replace(BEFORE, verdicts={"": replace(now.verdicts[""], after=2.0)})
    assert rule(now, then, max_drop="6%").kept
    assert not rule(now, then, max_drop="4%").kept
    assert rule(now, then, max_drop="0.2").kept


def test_a_share_with_another_name_is_held_in_points() -> None:
    now = scored(metric="dice", proportion=True)
    then = replace(BEFORE, verdicts={"": replace(now.verdicts[""], after=0.9)})
    assert rule(now, then, max_drop="1").text.startswith("the result lost 2.00 points")


def test_what_gained_lost_nothing() -> None:
    found = rule(scored(after=0.95), max_drop="0")
    assert (found.text, found.kept) == ("the result lost nothing, where nothing may be lost", True)


@pytest.mark.parametrize(
    ("now", "then", "why"),
    [
        (FOUND, None, "there is nothing to compare it with"),
        (replace(FOUND, verdicts={}), BEFORE, "there is no score of it"),
        (scored(after=math.nan), BEFORE, "there is no score of it"),
        (FOUND, replace(BEFORE, verdicts={"x": SCORE}), "the baseline was not scored there"),
        (FOUND, replace(BEFORE, data="e"), "scored with other data than the result"),
        (scored(samples=9), BEFORE, "was scored on 1,000 samples, the result on 9"),
        (scored(metric="mae"), BEFORE, "the baseline was scored by top1, the result by mae"),
    ],
)
def test_scores_that_are_no_comparison_are_not_kept(
    now: Figures, then: Figures | None, why: str
) -> None:
    found = rule(now, then, max_drop="50")
    assert not found.kept
    assert found.miss is None
    assert found.text.startswith("--max-drop 50 cannot be judged for the result: ")
    assert why in found.text


def test_agreement_is_compared_with_that_of_the_same_base() -> None:
    now = scored(metric="agreement", after=0.97, p_value=None, guess=0.5)
    then = replace(BEFORE, verdicts={"": replace(now.verdicts[""], after=0.99)})
    assert rule(now, then, max_drop="3").kept
    assert not rule(now, then, max_drop="1").kept
    told = rule(now, replace(then, base="another"), max_drop="3").text
    assert told.endswith("have no score, and agree with different bases")


@pytest.mark.parametrize("synthetic", [True, False])
def test_agreement_that_says_nothing_keeps_no_rule(synthetic: bool) -> None:
    now = scored(metric="agreement", after=1.0, p_value=None, guess=1.0, synthetic=synthetic)
    found = rule(now, replace(now, name="the base"), max_drop="3")
    assert "the original names one class for all 1,000" in found.text
    assert found.miss is None


def test_bytes_are_held_against_a_size() -> None:
    assert rule(max_bytes="100kB").kept
    found = rule(max_bytes="80kB")
    assert found.text == "the result has 100,000 bytes, where at most 80,000 are allowed"
    assert found.miss == pytest.approx(0.25)


def test_times_are_held_against_the_median_or_p90() -> None:
    assert rule(max_ms="10").kept
    assert not rule(max_ms="9.999").kept
    assert rule(max_ms="p90<12").kept
    found = rule(max_ms="p90<11.99")
    assert (
        found.text == "the result on board takes 12.00 ms (p90), where at most 11.99 ms are allowed"
    )


def test_each_device_has_its_own_rule() -> None:
    both = (OnDevice("board", TIME), OnDevice("phone", replace(TIME, median_ms=30.0)))
    slow = rules_of(Budgets(max_ms="20"), replace(FOUND, on=both), None)
    assert [(one.of, one.kept) for one in slow] == [
        ("the result on board", True),
        ("the result on phone", False),
    ]


@pytest.mark.parametrize("asked", [{"max_ms": "50"}, {"slower": False}])
@pytest.mark.parametrize(
    ("now", "why"),
    [
        (replace(FOUND, on=()), "no device measured the result"),
        (
            replace(FOUND, on=(OnDevice("board", emulated="it is QEMU"),)),
            "it is QEMU, so that times there are not the device's own",
        ),
        (
            replace(FOUND, on=(OnDevice("board", failure="out of memory"),)),
            "the result has no time on board: out of memory",
        ),
        (timed(valid=False), "on board is not valid: there were too few runs"),
        (timed(median_ms=math.nan), "on board is not valid"),
    ],
)
def test_times_that_are_none_are_not_kept(asked: dict[str, Any], now: Figures, why: str) -> None:
    found = rule(now, **asked)
    assert (found.kept, found.miss) == (False, None)
    assert "cannot be judged for the result" in found.text
    assert why in found.text


def test_a_percentile_that_is_not_told_is_not_kept() -> None:
    assert rule(timed(p90_ms=math.nan), max_ms="p90<50").text.endswith(
        "board does not tell its p90"
    )


def test_the_arena_is_held_against_a_size() -> None:
    now = replace(FOUND, on=(OnDevice("board", arena_bytes=70_000),))
    assert rule(now, max_arena="70kB").kept
    found = rule(now, max_arena="64kB")
    assert found.text == (
        "the result on board needs 70,000 bytes of arena, where at most 64,000 are allowed"
    )


def test_a_device_without_an_arena_keeps_no_rule() -> None:
    assert rule(max_arena="1GB").text.endswith(
        "board tells no arena; runtimes of microcontrollers do"
    )
    none = replace(FOUND, on=())
    assert rule(none, max_arena="1GB").text.endswith("no device measured the result")


def test_a_file_is_larger_by_a_byte() -> None:
    assert rule(larger=False).kept
    found = rule(replace(FOUND, size_bytes=100_001), larger=False)
    assert found.text == "the result is larger than the baseline: 100,000 bytes before, 100,001 now"
    assert not found.kept
    assert rule(beside=None, larger=False).miss is None


def test_slower_is_told_beyond_noise_only() -> None:
    same = rule(timed(median_ms=10.4), slower=False)
    assert same.text == (
        "the result on board is no slower than the baseline: 10.0 ms ± 10.0 µs before, "
        "10.4 ms ± 10.0 µs now"
    )
    assert same.kept
    found = rule(timed(median_ms=12.0), slower=False)
    assert "the result on board is slower than the baseline: 10.0 ms" in found.text
    assert found.miss == pytest.approx(0.2)


def test_noise_that_could_hide_a_slower_file_is_not_kept() -> None:
    noisy = rule(timed(median_ms=10.4, standard_error_ms=1.0), slower=False)
    assert (noisy.kept, noisy.miss) == (False, None)
    assert "times on board are noise that could hide 5 %" in noisy.text
    assert not rule(timed(standard_error_ms=math.nan), slower=False).kept
    interrupted = timed(median_ms=10.1, standard_error_ms=9.0, median_error_ms=0.02)
    assert rule(interrupted, slower=False).kept  # single runs, which the median does not know
    same = timed(standard_error_ms=1.0)
    assert rule(same, replace(same, name="the same file"), slower=False).kept
    assert rule(timed(median_ms=3.0, standard_error_ms=0.2), slower=False).kept  # clearly faster


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (None, "there is nothing to compare it with"),
        (replace(BEFORE, on=()), "the baseline was not measured on board"),
        (
            replace(BEFORE, machines={"board": replace(MACHINE, cpu="Cortex-A53")}),
            "board was another machine: Cortex-A53, aarch64, 4 cores, LiteRT before, Cortex-A72",
        ),
        (replace(BEFORE, machines={}), "it is not told which machine board was"),
        (replace(BEFORE, on=timed(threads=4).on), "threads on board: 4 before, 1 now"),
        (
            replace(BEFORE, on=timed(kernels="builtin").on),
            "kernels on board: builtin before, xnnpack",
        ),
    ],
)
def test_times_that_are_no_comparison_are_not_kept(then: Figures | None, why: str) -> None:
    found = rule(beside=then, slower=False)
    assert (found.kept, found.miss) == (False, None)
    assert why in found.text


@given(st.integers(1, 2**40), st.integers(1, 10**6))
def test_what_is_missed_is_missed_by_more_than_nothing(size: int, most: int) -> None:
    found = rule(replace(FOUND, size_bytes=size), max_bytes=str(most))
    assert found.kept == (size <= most)
    assert found.miss == max(0.0, (size - most) / most)
