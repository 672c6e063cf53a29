"""Statistics, the ledger's sentences, and profiles."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgeshrink.devices.measurement import (
    BenchPlan,
    DeviceInfo,
    Measurement,
    mcnemar,
    percentile,
    wilson,
)
from edgeshrink.devices.profile import DeviceProfile, find_profile
from edgeshrink.errors import ProfileError, UsageError
from edgeshrink.results.ledger import Latency, OnDevice, Row, observations


@given(st.lists(st.integers(1, 10**9), min_size=1), st.floats(0, 100))
def test_percentile_is_numpys(samples: list[int], share: float) -> None:
    assert percentile(samples, share) == pytest.approx(np.percentile(samples, share))


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_holds_the_share_and_stays_within_bounds(right: int, count: int) -> None:
    right = min(right, count)
    low, high = wilson(right, count)
    assert 0 <= low <= right / count + 1e-12
    assert right / count - 1e-12 <= high <= 1


@pytest.mark.parametrize(("lost", "gained"), list(product(range(5), range(5))))
def test_mcnemar_is_the_binomial_test(lost: int, gained: int) -> None:
    count = lost + gained
    tail = sum(math.comb(count, k) for k in range(min(lost, gained) + 1)) / 2**count
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, 2 * tail) if count else 1.0)


def measurement(samples: tuple[int, ...], plan: BenchPlan) -> Measurement:
    return Measurement("m", "d", DeviceInfo("x"), plan, samples, 1.0, 1.0, 1, "xnnpack")


def test_a_measurement_is_valid_when_both_floors_are_reached() -> None:
    plan = BenchPlan(runs=3, seconds=1e-6)
    assert measurement((500, 500, 500), plan).valid
    assert not measurement((500, 500), plan).valid
    assert not measurement((100, 100, 100), plan).valid
    assert measurement((1, 2, 3, 4), replace(plan, percentile=90)).of_record_ms == 3.7e-6


def row(step: str, kind: str, compressed: int, ms: float | None) -> Row:
    on = () if ms is None else (OnDevice("pi", Latency("pi", ms, ms, 0.001, 100, 1, True)),)
    return Row(step, kind, "f", "d", 10, 10, 10, compressed, compressed, on=on)


def test_the_ledger_says_where_a_step_did_not_help() -> None:
    base = row("base as float", "tflite", 100, 1.0)
    keras, pruned = row("base", "keras", 100, None), row("prune", "keras", 100, None)
    assert observations(pruned, keras, base) == [
        "prune did not make the file smaller: 100 bytes compressed before, 100 after"
    ]
    slower = row("int16x8", "tflite", 20, 40.0)
    assert observations(slower, pruned, base) == [
        "the file is slower than the uncompressed float .tflite: 1 ms before, 40 ms after, on pi; "
        "edgeshrink bench FILE --device pi --profile tells which operators take the time"
    ]
    same = row("float", "tflite", 90, 1.0)
    assert observations(same, pruned, base) == [
        "the file is no faster than the uncompressed float .tflite: 1 ms before, 1 ms after, on pi"
    ]
    faster = row("int8", "tflite", 20, 0.4)
    assert observations(faster, pruned, base) == []
    assert observations(row("worse", "tflite", 18, 0.6), faster, base) == [
        "worse made it slower: 0.4 ms before, 0.6 ms after, on pi; "
        "edgeshrink bench FILE --device pi --profile tells which operators take the time"
    ]
    assert observations(row("strip", "tflite", 18, 0.4), faster, base) == []


def test_a_profile_with_an_unknown_key_is_refused_with_a_near_match() -> None:
    with pytest.raises(ProfileError, match="unknown key 'thread'") as told:
        DeviceProfile.from_toml("thread = 4", "mine")
    assert "'threads'" in told.value.hint
    with pytest.raises(ProfileError, match="positive int"):
        DeviceProfile.from_toml("threads = 0", "mine")
    with pytest.raises(ProfileError, match="received 'int7'"):
        DeviceProfile.from_toml('precisions = ["int7"]', "mine")
    with pytest.raises(ProfileError, match="not TOML"):
        DeviceProfile.from_toml("threads =", "mine")


def test_a_profile_is_found_by_name_or_path(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text("threads = 2")
    assert find_profile("board", [tmp_path]).threads == 2
    assert find_profile(str(tmp_path / "board.toml"), []).name == "board"
    with pytest.raises(UsageError, match="no device profile 'bord'") as told:
        find_profile("bord", [tmp_path])
    assert told.value.hint == "did you mean 'board'?"
