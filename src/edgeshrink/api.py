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
from edgeshrink.flag import Flag, NoOptions, build, options_of
from edgeshrink.ledger import Latency, Ledger, OnDevice, Row
from edgeshrink.measure import (
    BenchPlan,
    DeviceInfo,
    Energy,
    Failure,
    Measurement,
    OperatorTime,
    Summary,
)
from edgeshrink.method import (
    Agreement,
    Context,
    Method,
    Need,
    Phase,
    Plan,
    Training,
)
from edgeshrink.metric import Metric, Score
from edgeshrink.precision import Precision
from edgeshrink.profile import DeviceProfile
from edgeshrink.recipe import Recipe
from edgeshrink.report import Report, Reporter, json_text
from edgeshrink.runtime import Runtime, Session
from edgeshrink.sensitivity import Sensitivity, Width
from edgeshrink.target import Completed, Progress, Target

hookimpl = pluggy.HookimplMarker("edgeshrink")

__all__ = [
    "Agreement",
    "Artifact",
    "BenchPlan",
    "CheckFailed",
    "CommandFailed",
    "Completed",
    "Context",
    "ConversionError",
    "DataError",
    "DeviceInfo",
    "DeviceProfile",
    "EdgeshrinkError",
    "Energy",
    "Failure",
    "Flag",
    "Kind",
    "Latency",
    "Ledger",
    "Measurement",
    "Method",
    "Metric",
    "ModelError",
    "Need",
    "NoOptions",
    "OnDevice",
    "OperatorTime",
    "Phase",
    "Plan",
    "PluginError",
    "Precision",
    "ProfileError",
    "Progress",
    "Recipe",
    "RecipeError",
    "Report",
    "Reporter",
    "Row",
    "Runtime",
    "Score",
    "Sensitivity",
    "Session",
    "Summary",
    "Target",
    "TargetError",
    "Training",
    "UsageError",
    "VerificationError",
    "Width",
    "build",
    "hookimpl",
    "json_text",
    "near",
    "options_of",
]
