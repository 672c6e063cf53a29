"""What the device's sensors say of a measurement: what makes it void, and what is worth a note."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeshrink_litert.answers import Answer

ANDROID_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# From here on Android slows the processor down.
THROTTLING = 2
# A smaller share of a core's highest frequency is worth a note.
SLOW = 0.9

_NUMBERS = ("load_average", "temperature_celsius", "frequency_mhz", "max_frequency_mhz")
_LISTS = ("throttled", "throttled_since_start")
LEAST_CELSIUS = -100.0


def conditions(answer: Answer) -> dict[str, Any]:
    """Return what a device's sensors told, those values that are known here."""
    found: dict[str, Any] = {n: answer.number(n, LEAST_CELSIUS) for n in _NUMBERS if n in answer}
    if "governor" in answer:
        found["governor"] = answer.text("governor")
    found.update({name: answer.texts(name) for name in _LISTS if name in answer})
    if "thermal_status" in answer:
        found["thermal_status"] = answer.whole("thermal_status")
    return found


def disturbed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why times between two readings of the sensors are void, as sentences.

    Example:
        >>> disturbed({"throttled": []}, {"throttled": ["under-voltage"]})
        ('the device said of itself: under-voltage',)
    """
    words = [*before.get("throttled", ()), *after.get("throttled", ())]
    known = before.get("throttled_since_start", ())
    # A moment between the two readings is seen only by this.
    words += [w for w in after.get("throttled_since_start", ()) if w not in known]
    found = [f"the device said of itself: {', '.join(dict.fromkeys(words))}"] if words else []
    status = max(before.get("thermal_status", 0), after.get("thermal_status", 0))
    if status >= THROTTLING:
        word = ANDROID_STATUS[min(status, len(ANDROID_STATUS) - 1)]
        found.append(f"Android's thermal status was {status} ({word}): it slows the processor down")
    return tuple(found)


def notes(before: Mapping[str, Any], after: Mapping[str, Any], cores: int) -> list[str]:
    """Return what may have changed the times, as sentences.

    Args:
        before: conditions before the runs.
        after: conditions after them.
        cores: how many could be used.
    """
    found = []
    load = before.get("load_average", 0.0)
    if load > max(1.0, cores / 2):
        found.append(f"other programs were at work: the load average was {load:g} on {cores} cores")
    if "powersave" in after.get("governor", ""):
        found.append("the governor is powersave, which may keep the processor slow")
    now, most = after.get("frequency_mhz"), after.get("max_frequency_mhz")
    if now and most and now < SLOW * most:
        found.append(f"a core ran at {now:.0f} of {most:.0f} MHz at the end")
    return found
