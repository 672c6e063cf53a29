"""The figures of one file that rules look at, and why two of them cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeshrink.devices import DeviceInfo
from edgeshrink.results.ledger import Latency, OnDevice
from edgeshrink.results.verdict import Verdict


@dataclass(frozen=True)
class Figures:
    """What was measured of one file, as rules look at it.

    Attributes:
        name: what sentences call it, such as `the result`.
        size_bytes: of the file.
        verdicts: what it scored, by the device whose outputs were scored; the name is empty for
            this machine's.
        on: what each device said.
        machines: what the devices are, by name.
        data: digest of the data set; empty without data.
        base: digest of the model that agreement is with.
    """

    name: str
    size_bytes: int
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    on: tuple[OnDevice, ...] = ()
    machines: Mapping[str, DeviceInfo | None] = field(default_factory=dict)
    data: str = ""
    base: str = ""

    def at(self, device: str) -> OnDevice | None:
        """Return what the device of this name said; None if it was not asked."""
        return next((one for one in self.on if one.device == device), None)

    def there(self, device: str) -> str:
        """Return the file's name, with the device where one is named."""
        return f"{self.name} on {device}" if device else self.name


def unlike_scores(now: Figures, then: Figures, device: str) -> str:
    """Return why two scores cannot be compared, or nothing."""
    if device not in then.verdicts:
        return f"{then.name} was not scored there"
    one, other = now.verdicts[device], then.verdicts[device]
    if one.metric != other.metric:
        return f"{then.name} was scored by {other.metric}, {now.name} by {one.metric}"
    if now.data != then.data:
        return f"{then.name} was scored with other data than {now.name}"
    if one.samples != other.samples:
        return f"{then.name} was scored on {other.samples:,} samples, {now.name} on {one.samples:,}"
    if not one.measured and now.base != then.base:
        return f"{then.name} and {now.name} have no score, and agree with different bases"
    return ""


def unlike_times(now: Figures, then: Figures, device: str) -> str:
    """Return why two latencies on the device of this name cannot be compared, or nothing."""
    one, other = now.at(device), then.at(device)
    why = untimed(now, device) or untimed(then, device)
    if why or not one or not other or not one.latency or not other.latency:
        return why
    here, there = now.machines.get(device), then.machines.get(device)
    if here is None or there is None:
        return f"it is not told which machine {device} was"
    if _machine(here) != _machine(there):
        return f"{device} was another machine: {_machine(there)} before, {_machine(here)} now"
    if one.latency.threads != other.latency.threads:
        return f"threads on {device}: {other.latency.threads} before, {one.latency.threads} now"
    if one.kernels and other.kernels and one.kernels != other.kernels:
        return f"kernels on {device}: {other.kernels} before, {one.kernels} now"
    return ""


def untimed(of: Figures, device: str) -> str:
    """Return why there is no time of a file on a device to go by, or nothing."""
    said = of.at(device)
    if said is None:
        return f"{of.name} was not measured on {device}"
    if said.emulated:
        return f"{said.emulated}, so that times there are not the device's own"
    if said.latency is None:
        reason = f": {said.failure}" if said.failure else ""
        return f"{of.name} has no time on {device}{reason}"
    if not said.latency.valid or not said.latency.median_ms > 0:
        return (
            f"the time of {of.name} on {device} is not valid: there were too few runs, or the "
            "device slowed down"
        )
    return ""


def _machine(info: DeviceInfo) -> str:
    """Return what a machine is, as far as times depend on it; versions of programs are left out."""
    cores = f"{info.cores} cores" if info.cores else ""
    told = (info.cpu, info.machine, cores, info.adapter, info.runtime)
    return ", ".join(filter(None, told)) or "unknown"


def told_time(latency: Latency, statistic: str) -> float:
    """Return a latency's `median` or `p90` in milliseconds; nan where it was not told."""
    return latency.median_ms if statistic == "median" else latency.p90_ms
