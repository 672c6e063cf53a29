"""Statistics of measurements: percentiles, intervals, tests, and when one is valid."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgeshrink.devices.measurement import BenchPlan, DeviceInfo, Measurement
from edgeshrink.devices.statistics import mcnemar, median_error, percentile, wilson


@given(st.lists(st.integers(1, 10**9), min_size=1), st.floats(0, 100))
def test_percentile_is_numpys(samples: list[int], share: float) -> None:
    assert percentile(samples, share) == pytest.approx(np.percentile(samples, share))


@pytest.mark.parametrize("count", [50, 1000, 20_000])
def test_the_error_of_a_median_is_how_much_medians_differ(count: int) -> None:
    rng = np.random.default_rng(0)
    runs = rng.normal(100, 10, (200, count))
    found = np.mean([median_error(run) for run in runs[:50].tolist()])
    assert found == pytest.approx(np.median(runs, axis=1).std(), rel=0.2)


def test_the_error_of_a_median_knows_drifts_and_no_single_outliers() -> None:
    quiet = np.random.default_rng(0).normal(100, 1, 1000)
    hit = quiet.copy()
    hit[::50] *= 1000  # an interruption now and then
    disturbed = quiet.copy()
    disturbed[500:] *= 1.2  # another program for half of the time
    usual = median_error(quiet.tolist())
    assert median_error(hit.tolist()) == pytest.approx(usual, rel=0.5)
    assert median_error(disturbed.tolist()) > 20 * usual
    assert median_error(quiet[:9].tolist()) is None


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
