"""The ledger's sentences: what a step did not do, or made worse, such as slower."""

from __future__ import annotations

from edgeshrink.devices import NORMAL_95
from edgeshrink.results.ledger import OnDevice, Row


def observations(row: Row, before: Row, uncompressed: Row | None = None) -> list[str]:
    """Return a sentence for each thing that the step of `row` did not do, or did badly.

    Args:
        row: a stage.
        before: the stage that it was made from.
        uncompressed: the base as a float file; the first file that is timed is compared with it.
    """
    said = []
    if row.kind == before.kind and row.compressed_bytes >= before.compressed_bytes * 0.995:
        said.append(
            f"{row.step} did not make the file smaller: {before.compressed_bytes:,} bytes "
            f"compressed before, {row.compressed_bytes:,} after"
        )
    for device in row.on:
        said += _latency_observations(row, device, before, uncompressed)
    return said


def _latency_observations(
    row: Row, device: OnDevice, before: Row, uncompressed: Row | None
) -> list[str]:
    first_that_runs = row.kind != before.kind or not before.on
    earlier = uncompressed if first_that_runs else before
    reference = earlier.at(device.device) if earlier else None
    if device.latency is None or reference is None or reference.latency is None:
        return []
    now, then = device.latency.median_ms, reference.latency.median_ms
    noise = NORMAL_95 * (device.latency.standard_error_ms + reference.latency.standard_error_ms)
    told = f"{then:.3g} ms before, {now:.3g} ms after, on {device.device}"
    slower = now > then * 1.05 and now - then > noise
    if slower:
        command = f"edgeshrink bench FILE --device {device.device} --profile"
        told += f"; {command} tells which operators take the time"
    if first_that_runs and now > then * 0.95:
        word = "slower" if slower else "no faster"
        return [f"the file is {word} than the uncompressed float .tflite: {told}"]
    return [f"{row.step} made it slower: {told}"] if slower else []
