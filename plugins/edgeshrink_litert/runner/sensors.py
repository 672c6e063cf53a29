"""What may disturb a measurement, as far as the device tells it."""

import os
import shutil
import subprocess

from .machine import read_text, read_whole, used_cores

# `vcgencmd get_throttled`: what is so now; the same bits 16 places higher were so since the start.
THROTTLED = ((0, "under-voltage"), (1, "frequency capped"), (2, "throttled"), (3, "soft limit"))
SINCE_START = 16
CPUFREQ = "sys/devices/system/cpu/cpu%d/cpufreq/"
THERMAL = "sys/class/thermal"
# Words in the type of a thermal zone that measures the processor.
OF_THE_CPU = ("cpu", "soc", "x86_pkg", "core")
PROGRAM_SECONDS = 5


def conditions(root="/"):
    """Return load average, governor, frequency, temperature and throttling, those that are told.

    Args:
        root: the folder that stands for the root of the file system.
    """
    found = {}
    if hasattr(os, "getloadavg"):
        found["load_average"] = round(os.getloadavg()[0], 2)
    found.update(frequency(root))
    degrees = temperature(root)
    if degrees is not None:
        found["temperature_celsius"] = degrees
    found.update(raspberry_throttling())
    status = android_status()
    if status is not None:
        found["thermal_status"] = status
    return found


def frequency(root="/", cores=None):
    """Return the governor and the frequencies of the slowest of the used cores."""
    governors, current, highest = [], [], []
    for core in used_cores() if cores is None else cores:
        folder = CPUFREQ % core
        governor = read_text(folder + "scaling_governor", root)
        if governor and governor not in governors:
            governors.append(governor)
        now = read_whole(folder + "scaling_cur_freq", root)
        most = read_whole(folder + "cpuinfo_max_freq", root)
        if now is not None and most:
            current.append(now / most)
            highest.append(most)
    found = {"governor": ", ".join(governors)} if governors else {}
    if current:
        slowest = min(range(len(current)), key=current.__getitem__)
        found["frequency_mhz"] = round(current[slowest] * highest[slowest] / 1000)
        found["max_frequency_mhz"] = round(highest[slowest] / 1000)
    return found


def temperature(root="/"):
    """Return the processor's temperature in degrees Celsius, else any zone's, else None."""
    folder = os.path.join(root, THERMAL)
    try:
        zones = sorted(n for n in os.listdir(folder) if n.startswith("thermal_zone"))
    except OSError:
        return None
    found = []
    for zone in zones:
        kind = read_text("%s/%s/type" % (THERMAL, zone), root).lower()
        value = read_whole("%s/%s/temp" % (THERMAL, zone), root)
        # Zones without a sensor say 0 or nonsense.
        if value is not None and -50_000 < value < 200_000 and value:
            found.append((not any(word in kind for word in OF_THE_CPU), value / 1000))
    # The hottest of the best kind: phones have a zone for each core.
    return max((t for other, t in found if other == min(found)[0]), default=None)


def raspberry_throttling():
    """Return what a Raspberry Pi's firmware says of its supply and its heat, if this is one."""
    text = program("vcgencmd", "get_throttled")
    try:
        bits = int(text.partition("throttled=")[2].split()[0], 16)
    except (IndexError, ValueError):
        return {}
    return {
        "throttled": [word for bit, word in THROTTLED if bits >> bit & 1],
        "throttled_since_start": [word for b, word in THROTTLED if bits >> (b + SINCE_START) & 1],
    }


def android_status():
    """Return Android's thermal status, 0 (none) to 6 (shutdown), or None elsewhere."""
    for line in program("dumpsys", "thermalservice").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Thermal Status" and value.strip().isdigit():
            return int(value)
    return None


def program(*argv):
    """Return what a program prints, or an empty text if it is not there or fails."""
    if shutil.which(argv[0]) is None:
        return ""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")
