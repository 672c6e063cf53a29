"""What one device said of one model."""

from __future__ import annotations

from dataclasses import dataclass

from edgeshrink.devices import DeviceProfile, Failure, Measurement
from edgeshrink.models import Artifact
from edgeshrink.results import Outputs


@dataclass(frozen=True)
class DeviceResult:
    """What one device said of one model.

    Attributes:
        measurement: None where there is a failure.
        outputs: for the samples; None where there are none, or the runtime gives none.
        host_error: greatest difference from this machine's outputs for the first samples, over
            their range; None for this machine itself.
        notes: sentences.
    """

    model: Artifact
    device: DeviceProfile
    measurement: Measurement | None = None
    failure: Failure | None = None
    outputs: Outputs | None = None
    host_error: float | None = None
    notes: tuple[str, ...] = ()
