"""All that a plugin may import, together with `edgeshrink.nn`."""

from __future__ import annotations

import pluggy

from edgeshrink.devices.measurement import (
    BenchPlan,
    DeviceInfo,
    Energy,
    Failure,
    Measurement,
    OperatorTime,
    Summary,
)
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.devices.runtime import Runtime, Session
from edgeshrink.devices.target import Completed, Progress, Target
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
from edgeshrink.flag import Flag, NoOptions, build, options_of
from edgeshrink.models.artifact import Artifact, Kind
from edgeshrink.models.config import ModelFacts, facts
from edgeshrink.models.importing import check_module, import_object
from edgeshrink.recipes.column import MEASURES, Column
from edgeshrink.recipes.method import Agreement, Context, Method, Need, Phase, Plan, Training
from edgeshrink.recipes.precision import Precision
from edgeshrink.recipes.recipe import Recipe
from edgeshrink.results.ledger import Latency, Ledger, OnDevice, Row
from edgeshrink.results.merit import Merit
from edgeshrink.results.metric import Metric, Score
from edgeshrink.results.report import Report, Reporter, json_text
from edgeshrink.results.robustness import Pair, Robustness
from edgeshrink.results.sensitivity import Sensitivity, Width
from edgeshrink.results.study_report import Cell, RowFound, StudyReport, TableFound, Value
from edgeshrink.samples.preprocess import Preprocess

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
