"""Dynamic range: the versions that the converter gives its operators, and where they are refused.

A dense layer with a scale for each channel is FULLY_CONNECTED of version 12, which runtimes of
before 2024 do not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgeshrink.api import DeviceProfile
from edgeshrink.tflite import Use

# By granularity, versions of operators. Others have kernels that the converter mostly leaves in
# float, since they are of fewer than 1,024 weights.
VERSIONS = {
    "channel": {"CONV_2D": 5, "FULLY_CONNECTED": 12},
    "tensor": {"CONV_2D": 2, "FULLY_CONNECTED": 9},
}


def grain(granularity: str, device: DeviceProfile) -> str:
    """Return the granularity for a device: `auto` is `tensor` where dense ones by channel fail.

    Args:
        granularity: `auto`, `channel` or `tensor`.
        device: what the file is for.
    """
    dense = hybrid(["FULLY_CONNECTED"], "channel", device)
    return "tensor" if granularity == "auto" and device.refused(dense) else granularity


def hybrid(operators: Iterable[str], granularity: str, device: DeviceProfile) -> Iterator[Use]:
    """Yield how a file in dynamic range uses operators, as far as that is known before.

    Args:
        operators: their names.
        granularity: `auto`, `channel` or `tensor`.
        device: what the file is for.
    """
    if granularity == "auto":
        granularity = grain("auto", device)
    by_channel = granularity != "tensor"
    versions = VERSIONS["channel" if by_channel else "tensor"]
    for operator in versions.keys() & set(operators):
        version, data = versions[operator], "float32"
        yield Use(operator, version, data, "int8", by_channel=by_channel, result=data)
