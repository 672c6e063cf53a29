"""One compression: as it was asked for, and as it was found to be possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from edgeshrink.devices import RULES, BenchPlan, DeviceProfile
from edgeshrink.hookspecs import OpenedModel
from edgeshrink.models import Artifact, Kind, ModelFacts
from edgeshrink.recipes import Method, Methods, Recipe, Room, Training
from edgeshrink.results import Budgets
from edgeshrink.texts import typed

if TYPE_CHECKING:
    from edgeshrink.samples import Dataset

PATHS = ("model", "out", "run", "stages")


@dataclass(frozen=True)
class Request:
    """One compression, as it was asked for.

    Attributes:
        model: a Keras file or SavedModel folder.
        recipe: the steps that were asked for; what is on by default is added by `plan`.
        out: the file to write; its suffix says .tflite, .esz or .keras.
        data: a data set, as `edgeshrink.samples.load_dataset` reads it; empty for none.
        data_free: inputs are synthesised from the model's batch norms, in place of data.
        preprocess: what is done to samples before the model sees them.
        reading: how files of data are read: options of `edgeshrink.samples.Reading`.
        task: what the outputs answer, where the model does not tell, as `--task` takes it.
        decode: `module:function` that makes boxes of a detector's outputs; empty for none.
        calibration: samples that calibrate activations.
        devices: names or paths of profiles; the result is for the first, and measured on all.
        toolchains: names of readers that the result goes through, beside those of the devices.
        at: the address of the one device, in place of its profile's.
        connection: options of targets, over those of the profiles.
        trust_profile: profiles that are named by their path may name programs of this machine.
        run: the run folder; None puts it beside `out`.
        stages: a folder that holds the stages of several runs, which may work in it at once;
            None keeps them in the run folder. Who makes it keeps it, and mends it.
        force: overwrite `out`, and go on where a check says stop.
        unsafe: code inside the model file may run.
        custom: `module:object` of classes that are not Keras's.
        input_shapes: fixed shapes of inputs with dynamic dimensions, batch included; the name
            of a single input may be empty.
        metric: the metric of record; empty for the task's own.
        budgets: what the result must keep to; it is compared with the base.
        judged: what stages are judged on: `test`, or `validation` where a result is chosen by it.
        robustness: also score the base and the result on perturbed test images.
        robustness_samples: how many test samples are perturbed, at most.
        seconds: that training may take, all steps together; None for what their efforts say.
        exports: names of exporters, which write the result as source beside it.
        bench: how long files are timed.
        command: what was typed, for the report.
    """

    model: Path
    recipe: Recipe
    out: Path
    data: str = ""
    data_free: bool = False
    preprocess: str = "none"
    reading: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    decode: str = ""
    calibration: int = 200
    devices: tuple[str, ...] = ("desktop",)
    toolchains: tuple[str, ...] = ()
    at: str = ""
    connection: Mapping[str, Any] = field(default_factory=dict)
    trust_profile: bool = False
    run: Path | None = None
    stages: Path | None = None
    force: bool = False
    unsafe: bool = False
    custom: tuple[str, ...] = ()
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    metric: str = ""
    budgets: Budgets = field(default_factory=Budgets)
    judged: Literal["test", "validation"] = "test"
    robustness: bool = False
    robustness_samples: int = 1000
    seconds: float | None = None
    exports: tuple[str, ...] = ()
    bench: BenchPlan = RULES["quick"]
    command: str = ""

    @property
    def run_folder(self) -> Path:
        """Where log and report go, and stages where no folder is named for them."""
        return self.run or self.out.with_suffix(".run")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        paths = {k: None if said[k] is None else str(said[k]) for k in PATHS}
        more = {
            "recipe": self.recipe.to_toml(),
            "budgets": asdict(self.budgets),
            "bench": asdict(self.bench),
        }
        return said | paths | more

    @classmethod
    def from_dict(cls, said: Mapping[str, Any], methods: Methods) -> Self:
        """Return the request that `as_dict` told.

        Raises:
            RecipeError: a method of its recipe is not there, or is not what it was.
        """
        paths = {k: None if said[k] is None else Path(said[k]) for k in PATHS}
        more = {
            "recipe": Recipe.from_toml(said["recipe"], methods),
            "devices": tuple(said["devices"]),
            "toolchains": tuple(said["toolchains"]),
            "custom": tuple(said["custom"]),
            "exports": tuple(said["exports"]),
            "input_shapes": {name: tuple(shape) for name, shape in said["input_shapes"].items()},
            "budgets": typed(Budgets, said["budgets"], "the budgets"),
            "bench": typed(BenchPlan, said["bench"], "the rules of timing"),
        }
        return cls(**{**said, **paths, **more})


@dataclass(frozen=True)
class PlannedStep:
    """A step that will run, and what it can and cannot change."""

    step: Method
    training: Training | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Planned:
    """A checked request: all that can be told before TensorFlow is loaded.

    Attributes:
        opened: the model, where a plugin opened it.
    """

    request: Request
    base: Artifact
    facts: ModelFacts
    devices: tuple[DeviceProfile, ...]
    recipe: Recipe
    data: Dataset | None
    steps: tuple[PlannedStep, ...]
    warnings: tuple[str, ...]
    opened: OpenedModel | None = None

    @property
    def profile(self) -> DeviceProfile:
        """The device that the result is for, with what reads it on all devices."""
        reads = dict.fromkeys(reader for device in self.devices for reader in device.reads)
        return replace(self.devices[0], reads=tuple(reads))

    @property
    def read(self) -> dict[str, Any]:
        """What decides which files can be read, as JSON values."""
        device = self.profile
        titles = [reader.title for reader in device.reads]
        return {"readers": titles, "operators": dict(device.operators)}

    @property
    def room(self) -> Room:
        """What the result may take: the least of what its devices have and of what was asked."""
        budgets, devices = self.request.budgets, self.devices
        storage = (*(device.storage_bytes for device in devices), budgets.most_bytes)
        memory = (*(device.memory_bytes for device in devices), budgets.most_arena)
        return Room(_least(storage), _least(memory))


def _least(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def default_out(model: Path, recipe: Recipe) -> Path:
    """Return what a result is called where no name was given.

    Example:
        >>> str(default_out(Path("nets/small.keras"), Recipe()))
        'small.tflite'
        >>> str(default_out(Path("mine:forest"), Recipe()))
        'forest.tflite'
    """
    packed = any(step.produces is Kind.PACKED for step in recipe.steps)
    name = Path(str(model).rpartition(":")[2]).stem
    return Path(name + (Kind.PACKED if packed else Kind.TFLITE).suffix)
