"""What tells power or energy on a device: counters and sensors, each with its source."""

import os
import re
import threading
import time

from .machine import read_text, read_whole
from .result import JobError
from .sensors import program

POWERCAP = "sys/class/powercap"
SUPPLIES = "sys/class/power_supply"
# `  3V3_SYS_A current(1)=0.05465A` and `  3V3_SYS_V volt(9)=3.31V`
ADC = re.compile(r"^\s*(\w+)_([AV]) (?:current|volt)\(\d+\)=(-?[\d.]+)[AV]\s*$", re.MULTILINE)
SAMPLES_PER_SECOND = 5


class Rapl:
    """Intel's and AMD's counters of energy, one for each processor package.

    Args:
        root: the folder that stands for the root of the file system.

    Raises:
        JobError: there are none, or only root may read them.
    """

    source = "Intel RAPL, package"

    def __init__(self, root="/"):
        self.root, self.zones = root, []
        for zone in _names(os.path.join(root, POWERCAP)):
            folder = "%s/%s/" % (POWERCAP, zone)
            if read_text(folder + "name", root).startswith("package"):
                self.zones.append(folder)
        if not self.zones:
            raise JobError("no counter of Intel RAPL")
        if any(read_whole(zone + "energy_uj", root) is None for zone in self.zones):
            raise JobError("the counter of Intel RAPL is readable by root only")

    def begin(self):
        """Note where the counters are."""
        self.before = self._read()

    def end(self):
        """Return the joules since `begin`; each counter may have begun anew once."""
        joules = 0.0
        for zone, before, after in zip(self.zones, self.before, self._read()):
            if after < before:
                after += read_whole(zone + "max_energy_range_uj", self.root) or 0
            joules += max(0, after - before) / 1e6
        return joules

    def _read(self):
        return [read_whole(zone + "energy_uj", self.root) or 0 for zone in self.zones]


class Sampled:
    """Power that is read again and again while something else runs.

    Args:
        source: what tells it.
        watts: reads it; None where a reading failed.
        interval: seconds between readings.
    """

    def __init__(self, source, watts, interval=1 / SAMPLES_PER_SECOND):
        self.source, self.watts, self.interval = source, watts, interval

    def begin(self):
        """Start reading."""
        self.over, self.readings = threading.Event(), []
        self.started = time.monotonic()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def _sample(self):
        while True:
            watts = self.watts()
            if watts is not None:
                self.readings.append(watts)
            if self.over.wait(self.interval):
                return

    def end(self):
        """Return the joules since `begin`: the mean power times the time.

        Raises:
            JobError: nothing could be read.
        """
        seconds = time.monotonic() - self.started
        self.over.set()
        self.thread.join()
        if not self.readings:
            raise JobError("%s gave no reading" % self.source)
        return sum(self.readings) / len(self.readings) * seconds


def raspberry():
    """Return the meter of a Raspberry Pi 5, whose supply chip measures its rails.

    Raises:
        JobError: this is none.
    """
    if _rails() is None:
        raise JobError("no Raspberry Pi 5 PMIC")
    return Sampled("Raspberry Pi 5 PMIC", _rails)


def _rails():
    """Return the watts of all rails of which both volts and amperes are told."""
    found = {"A": {}, "V": {}}
    for rail, unit, value in ADC.findall(program("vcgencmd", "pmic_read_adc")):
        found[unit][rail] = float(value)
    pairs = [amperes * found["V"][r] for r, amperes in found["A"].items() if r in found["V"]]
    return sum(pairs) if pairs else None


def battery(root="/"):
    """Return the meter of a battery that nothing charges.

    Raises:
        JobError: there is none, or it is being charged, or it tells no current.
    """
    reason = "no battery"
    for supply in _names(os.path.join(root, SUPPLIES)):
        folder = "%s/%s/" % (SUPPLIES, supply)
        if read_text(folder + "type", root) != "Battery":
            continue
        if read_text(folder + "status", root) != "Discharging":
            reason = "the battery is being charged"
        elif _battery_watts(folder, root) is None:
            reason = "the battery tells no current and voltage"
        else:
            return Sampled("battery", lambda: _battery_watts(folder, root))
    raise JobError(reason)


def _battery_watts(folder, root):
    """Return watts; the files hold microvolts and microamperes, of either sign."""
    amperes = read_whole(folder + "current_now", root)
    volts = read_whole(folder + "voltage_now", root)
    return abs(amperes) * volts / 1e12 if amperes and volts else None


def find(root="/"):
    """Return the first meter that can be read here.

    Raises:
        JobError: there is none; it says why of each.
    """
    reasons = []
    for meter in (lambda: Rapl(root), raspberry, lambda: battery(root)):
        try:
            return meter()
        except JobError as error:
            reasons.append(str(error))
    raise JobError("not told by this device (%s)" % ", ".join(reasons))


def _names(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
