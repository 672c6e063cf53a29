"""The ledger's sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeshrink.results.ledger import Latency, OnDevice, Row
from edgeshrink.results.ledger_sentences import observations


def row(step: str, kind: str, compressed: int, ms: float | None, error: float = 0.001) -> Row:
    on = () if ms is None else (OnDevice("pi", Latency("pi", ms, ms, error, 100, 1, True)),)
    return Row(step, kind, "f", "d", 10, 10, 10, compressed, compressed, on=on)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((1000, 900), (1000, 900), "strip did not make the file smaller"),
        ((1000, 900), (1100, 950), "strip made the file larger"),
        ((1000, 900), (930, 900), "strip made the file smaller on disk, and no smaller deflated"),
        ((1000, 900), (930, 898), "strip made the file smaller on disk, and hardly smaller defl"),
        ((1000, 900), (998, 898), "strip made the file hardly smaller"),
        ((1000, 900), (1000, 800), ""),
        ((1000, 900), (900, 800), ""),
    ],
)
def test_a_file_is_called_no_smaller_only_where_it_is(
    before: tuple[int, int], after: tuple[int, int], said: str
) -> None:
    earlier, later = (
        replace(row("strip", "tflite", 1, None), size_bytes=size, compressed_bytes=deflated)
        for size, deflated in (before, after)
    )
    told = observations(later, earlier)
    assert len(told) == bool(said)
    for sentence in told:
        assert sentence.startswith(said)
        assert f"{before[0]:,} bytes before, {after[0]:,} after; deflated" in sentence


def test_a_file_that_is_larger_than_the_model_it_was_made_from_is_told() -> None:
    given, made = row("base", "keras", 13_000, None), row("dynamic", "tflite", 18_000, None)
    assert observations(made, given) == [
        "dynamic made a larger file than it was given: 13,000 bytes before, 18,000 after; "
        "deflated 13,000 and 18,000"
    ]
    assert observations(row("dynamic", "tflite", 13_500, None), given) == []


def test_a_file_that_is_larger_only_when_deflated_is_told_as_that() -> None:
    given, made = row("prune", "keras", 27_446, None), row("int8", "tflite", 15_360, None)
    given, made = replace(given, compressed_bytes=5_184), replace(made, compressed_bytes=6_469)
    assert observations(made, given) == [
        "int8 made a file that deflates to more than what it was given: 27,446 bytes before, "
        "15,360 after; deflated 5,184 and 6,469"
    ]


def test_the_ledger_says_where_a_step_did_not_help() -> None:
    base = row("base as float", "tflite", 100, 1.0)
    keras, pruned = row("base", "keras", 100, None), row("prune", "keras", 100, None)
    assert observations(pruned, keras, base) == [
        "prune did not make the file smaller: 100 bytes before, 100 after; deflated 100 and 100"
    ]
    assert observations(row("train", "keras", 999, None), row("base", "keras", 1000, None)) == [
        "train made the file hardly smaller: 1,000 bytes before, 999 after; deflated 1,000 and 999"
    ]
    slower = row("int16x8", "tflite", 20, 40.0)
    assert observations(slower, pruned, base) == [
        "the file is slower than the uncompressed float .tflite: 1.00 ms before, 40.0 ms after, on "
        "pi; edgeshrink bench FILE --device pi --profile tells which operators take the time"
    ]
    same = row("float", "tflite", 90, 1.0)
    assert observations(same, pruned, base) == [
        "the file is no faster than the uncompressed float .tflite: 1.00 ms before, 1.00 ms after, "
        "on pi"
    ]
    faster = row("int8", "tflite", 20, 0.4)
    assert observations(faster, pruned, base) == []
    assert observations(row("worse", "tflite", 18, 0.6), faster, base) == [
        "worse made it slower: 0.400 ms before, 0.600 ms after, on pi; "
        "edgeshrink bench FILE --device pi --profile tells which operators take the time"
    ]
    assert observations(row("strip", "tflite", 18, 0.4), faster, base) == []


def test_a_time_that_is_noise_is_said_to_be() -> None:
    base, pruned = row("base as float", "tflite", 100, 1.0), row("prune", "keras", 90, None)
    assert observations(row("int8", "tflite", 20, 0.066, 0.066), pruned, base) == [
        "its time on pi is noise: median 66.0 µs, standard error 66.0 µs, from 100 runs"
    ]
    unsteady = row("base as float", "tflite", 100, 1.0, 0.5)
    assert observations(row("int8", "tflite", 20, 0.066), pruned, unsteady) == [
        "the uncompressed float .tflite's time on pi is noise: median 1.00 ms, standard error "
        "0.500 ms, from 100 runs"
    ]
