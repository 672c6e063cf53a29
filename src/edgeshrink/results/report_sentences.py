"""The result in a few lines: the verdict, what got worse, then sizes and what got better."""

from __future__ import annotations

from edgeshrink import words
from edgeshrink.results.ledger import Latency, Ledger, OnDevice
from edgeshrink.results.ledger_sentences import is_noisy, is_slower
from edgeshrink.results.report import Report


def summary(report: Report) -> tuple[str, ...]:
    """Return what a report says of the result, a sentence each, the verdict first.

    A file that became slower is told before what it saves.
    """
    ledger, verdict = report.ledger, report.verdict
    final = ledger.final
    speeds = {one.device: _speed(ledger, one) for one in final.on}
    slow = {
        one.device
        for one in final.on
        if (before := ledger.base_latency(one.device))
        and one.latency
        and is_slower(one.latency, before)
    }
    lines = [*str(verdict).splitlines(), *map(str, report.rules)]
    lines += [said for device, said in speeds.items() if device in slow]
    lines.append(_sizes(ledger))
    told = verdict.apart and verdict.outcome != "worse"  # by the verdict itself
    if verdict.measured and final.agreement and not told:
        agreed = final.agreement
        compared = agreed.answers_to(verdict.inputs)
        lines.append(
            f"agrees with the base on {words.percent(agreed.share, 2)} of {compared}"
            if agreed.top1 is not None
            else f"cosine to the base's outputs {agreed.cosine:.4f} on {verdict.inputs}"
        )
    lines += [said for device, said in speeds.items() if device not in slow]
    lines.append(
        "; ".join(
            f"{name.replace('_', ' ')} {words.digits(ledger.base.merits[name])} before, "
            f"{words.digits(value)} after"
            for name, value in final.merits.items()
            if name in ledger.base.merits
        )
    )
    return tuple(filter(None, lines))


def _sizes(ledger: Ledger) -> str:
    final, whole = ledger.final, ledger.uncompressed
    disk, download = ledger.on_disk(final), ledger.download(final)
    if ledger.imitated:
        return (
            f"{_smaller(disk)} on disk: {final.size_bytes:,} bytes, where the original's own file "
            f"has {ledger.weight_bytes:,}; {_smaller(download)} as a download: "
            f"{final.compressed_bytes:,} bytes deflated, where that has {whole.compressed_bytes:,}"
        )
    return (
        f"{_smaller(disk)} on disk: {final.size_bytes:,} bytes, where 4 for each weight of the "
        f"base are {ledger.weight_bytes:,}; {_smaller(download)} as a download: "
        f"{final.compressed_bytes:,} bytes deflated, where the float file has "
        f"{whole.compressed_bytes:,}"
    )


def _smaller(ratio: float) -> str:
    return f"{words.digits(ratio)} times smaller" if ratio > 1 else "not smaller"


def _speed(ledger: Ledger, one: OnDevice) -> str:
    """Return how fast the result is on a device, beside the float file."""
    by = one.kernels or "unknown"
    same = f"; its score there (kernels: {by}): {words.score(one.score)}" if one.score else ""
    if one.estimate:
        return f"{one.device}: {one.estimate}; {one.emulated}{same}"
    if one.emulated:
        return f"{one.device}: {one.emulated}, so that times measured on it are not shown{same}"
    before, after = ledger.base_latency(one.device), one.latency
    if after is None:
        return ""
    if before is None and not ledger.imitated:
        return ""
    if before is None:
        doubt = "" if after.valid else "; not valid"
        return (
            f"on {one.device}: {words.milliseconds(after.median_ms)} "
            f"(median, threads: {after.threads}, kernels: {by}{doubt}); the original runs on no "
            "such runtime"
        )
    valid = "" if before.valid and after.valid else "; not valid"
    return (
        f"{_compared(after, before)} on {one.device}: "
        f"{words.milliseconds(before.median_ms)} as float .tflite, "
        f"{words.milliseconds(after.median_ms)} now (median, threads: {after.threads}, "
        f"kernels: {by}{valid})"
    )


def _compared(now: Latency, then: Latency) -> str:
    if is_slower(now, then):
        return f"{words.digits(now.median_ms / then.median_ms)} times slower"
    if is_slower(then, now):
        return f"{words.digits(then.median_ms / now.median_ms)} times faster"
    if is_noisy(now) or is_noisy(then):
        return "no difference in time shown"
    return "no faster"
