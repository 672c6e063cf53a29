"""All that a plugin may import, together with `edgeshrink.nn`."""

from __future__ import annotations

import pluggy

from edgeshrink.artifact import Artifact, Kind
from edgeshrink.errors import (
    CheckFailed,
    CommandFailed,
    ConversionError,
    DataError,
    EdgeshrinkError,
    ModelError,
    PluginError,
    ProfileError,
    RecipeError,
    TargetError,
    UsageError,
    VerificationError,
    near,
)
from edgeshrink.measure import (
    BenchPlan,
    DeviceInfo,
    Failure,
    Measurement,
    OperatorTime,
)
from edgeshrink.profile import DeviceProfile
from edgeshrink.runtime import Progress, Runtime, Session
from edgeshrink.target import Completed, Target

hookimpl = pluggy.HookimplMarker("edgeshrink")

__all__ = [
    "Artifact",
    "BenchPlan",
    "CheckFailed",
    "CommandFailed",
    "Completed",
    "ConversionError",
    "DataError",
    "DeviceInfo",
    "DeviceProfile",
    "EdgeshrinkError",
    "Failure",
    "Kind",
    "Measurement",
    "ModelError",
    "OperatorTime",
    "PluginError",
    "ProfileError",
    "Progress",
    "RecipeError",
    "Runtime",
    "Session",
    "Target",
    "TargetError",
    "UsageError",
    "VerificationError",
    "hookimpl",
    "near",
]
