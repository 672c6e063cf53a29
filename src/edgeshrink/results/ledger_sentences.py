"""The ledger's sentences: what a step did not do, or made worse, such as slower."""

from __future__ import annotations

from edgeshrink import words
from edgeshrink.devices import NORMAL_95
from edgeshrink.results.ledger import Latency, OnDevice, Row

LONGER = 1.05  # times: less is not told as slower


def observations(row: Row, before: Row, uncompressed: Row | None = None) -> list[str]:
    """Return a sentence for each thing that the step of `row` did not do, or did badly.

    Args:
        row: a stage.
        before: the stage that it was made from.
        uncompressed: the base as a float file; the first file that is timed is compared with it.
    """
    said = _size_observations(row, before)
    for device in row.on:
        said += _latency_observations(row, device, before, uncompressed)
    return said


def _size_observations(row: Row, before: Row) -> list[str]:
    """Return a sentence where a file is no smaller on disk, or deflated, than the one before."""
    now, then = row.size_bytes, before.size_bytes
    deflated, deflated_then = row.compressed_bytes, before.compressed_bytes
    told = f"{then:,} bytes before, {now:,} after; deflated {deflated_then:,} and {deflated:,}"
    if row.kind != before.kind:
        if deflated <= deflated_then * 1.05:
            return []
        if now > then:
            return [f"{row.step} made a larger file than it was given: {told}"]
        return [f"{row.step} made a file that deflates to more than what it was given: {told}"]
    if deflated < deflated_then * 0.995:
        return []
    if now < then * 0.995:
        word = "hardly" if deflated < deflated_then else "no"
        return [f"{row.step} made the file smaller on disk, and {word} smaller deflated: {told}"]
    if now < then or deflated < deflated_then:
        return [f"{row.step} made the file hardly smaller: {told}"]
    if now > then:
        return [f"{row.step} made the file larger: {told}"]
    return [f"{row.step} did not make the file smaller: {told}"]


def is_slower(now: Latency, then: Latency) -> bool:
    """Return whether a time is longer than another, by more than 5 % and more than noise."""
    noise = NORMAL_95 * (now.error_ms + then.error_ms)
    return now.median_ms > then.median_ms * LONGER and now.median_ms - then.median_ms > noise


def is_noisy(found: Latency) -> bool:
    """Return whether a time is so uncertain that it could hide what is told as slower."""
    return NORMAL_95 * found.error_ms > (LONGER - 1) * found.median_ms


def _latency_observations(
    row: Row, device: OnDevice, before: Row, uncompressed: Row | None
) -> list[str]:
    now = device.latency
    if now is None:
        return []
    first_that_runs = row.kind != before.kind or not before.on
    earlier = uncompressed if first_that_runs else before
    reference = earlier.at(device.device) if earlier else None
    said = _noise("its", device.device, now)
    if reference is None or reference.latency is None:
        return said
    if first_that_runs:
        said += _noise("the uncompressed float .tflite's", device.device, reference.latency)
    then, slower = reference.latency, is_slower(now, reference.latency)
    told = (
        f"{words.milliseconds(then.median_ms)} before, {words.milliseconds(now.median_ms)} after, "
        f"on {device.device}"
    )
    if slower:
        command = f"edgeshrink bench FILE --device {device.device} --profile"
        told += f"; {command} tells which operators take the time"
    if first_that_runs and now.median_ms > then.median_ms * (2 - LONGER):
        word = "slower" if slower else "no faster"
        said.append(f"the file is {word} than the uncompressed float .tflite: {told}")
    elif slower:
        said.append(f"{row.step} made it slower: {told}")
    return said


def _noise(whose: str, device: str, found: Latency) -> list[str]:
    if not is_noisy(found):
        return []
    return [
        f"{whose} time on {device} is noise: median {words.milliseconds(found.median_ms)}, "
        f"standard error {words.milliseconds(found.error_ms)}, from {found.runs:,} runs"
    ]
