"""All that a plugin may import, together with `edgeshrink.nn`."""

from __future__ import annotations

import pluggy

from edgeshrink.artifact import Artifact, Kind
from edgeshrink.column import MEASURES, Column
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
    StudyError,
    TargetError,
    UsageError,
    VerificationError,
    near,
)
from edgeshrink.findings import Cell, RowFound, StudyReport, TableFound, Value
from edgeshrink.flag import Flag, NoOptions, build, options_of
from edgeshrink.importing import check_module, import_object
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
from edgeshrink.merit import Merit
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
from edgeshrink.modelfile import ModelFacts, facts
from edgeshrink.precision import Precision
from edgeshrink.preprocess import Preprocess
from edgeshrink.profile import DeviceProfile
from edgeshrink.recipe import Recipe
from edgeshrink.report import Report, Reporter, json_text
from edgeshrink.robustness import Pair, Robustness
from edgeshrink.runtime import Runtime, Session
from edgeshrink.sensitivity import Sensitivity, Width
from edgeshrink.target import Completed, Progress, Target

hookimpl = pluggy.HookimplMarker("edgeshrink")

__all__ = [
    "MEASURES",
    "Agreement",
    "Artifact",
    "BenchPlan",
    "Cell",
    "CheckFailed",
    "Column",
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
    "Merit",
    "Method",
    "Metric",
    "ModelError",
    "ModelFacts",
    "Need",
    "NoOptions",
    "OnDevice",
    "OperatorTime",
    "Pair",
    "Phase",
    "Plan",
    "PluginError",
    "Precision",
    "Preprocess",
    "ProfileError",
    "Progress",
    "Recipe",
    "RecipeError",
    "Report",
    "Reporter",
    "Robustness",
    "Row",
    "RowFound",
    "Runtime",
    "Score",
    "Sensitivity",
    "Session",
    "StudyError",
    "StudyReport",
    "Summary",
    "TableFound",
    "Target",
    "TargetError",
    "Training",
    "UsageError",
    "Value",
    "VerificationError",
    "Width",
    "build",
    "check_module",
    "facts",
    "hookimpl",
    "import_object",
    "json_text",
    "near",
    "options_of",
]
