"""The command `compress`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgeshrink.cli.commands.clean import tell_size
from edgeshrink.cli.display.robustness import Robustness, asked
from edgeshrink.cli.say import say
from edgeshrink.cli.shared import (
    At,
    Custom,
    Debug,
    Devices,
    InputShapes,
    Json,
    Metric,
    Preprocess,
    SshConfig,
    Toolchains,
    TrustProfile,
    Unsafe,
    print_json,
    registry,
    single,
    typed,
    warn,
)
from edgeshrink.cli.typer_flags import with_method_flags
from edgeshrink.devices import RULES, RULES_HELP
from edgeshrink.errors import UsageError
from edgeshrink.flag import Flag, build
from edgeshrink.recipes import Methods, Recipe, Training, own_losses
from edgeshrink.results import Budgets
from edgeshrink.samples import Meaning, Reading
from edgeshrink.texts import seconds

if TYPE_CHECKING:
    from edgeshrink.engine import Planned
    from edgeshrink.results import Report

BESIDE = (".infer.py", ".names.json", ".recipe.toml", ".report.json", ".run")
NO_MIX = "--recipe, --step and the flags of methods are three ways to say one thing; choose one"


@dataclass(frozen=True)
class Numbers:
    """Time, randomness, calibration and timing."""

    time: Annotated[
        str,
        Flag(
            "What training may take, all steps together, as in 90s, 20m or 1h: with too many "
            "epochs for that, they are fewer.",
            metavar="TIME",
        ),
    ] = ""
    seed: Annotated[int | None, Flag("Seed of everything random.", min=0)] = None
    calibration: Annotated[int, Flag("Training samples to calibrate activations with.", min=1)] = (
        200
    )
    rules: Annotated[Literal["smoke", "demo", "quick", "mlperf"], Flag(RULES_HELP)] = "quick"


def app() -> typer.Typer:
    """Return the command, with the flags of every installed method."""
    flags = with_method_flags(
        registry().methods,
        training=Training,
        numbers=Numbers,
        keeping=Budgets,
        reading=Reading,
        meaning=Meaning,
        perturbing=Robustness,
    )
    return single(flags(compress))


def compress(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A .keras, .h5 or SavedModel of Keras; or a fitted model of scikit-learn, as a "
            ".skops file or module:object.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="Data: an .npz, .csv or .parquet file, a folder of images or .wav files by class, "
            "a .zip of one, module:function, or keras:mnist.",
        ),
    ] = "",
    data_free: Annotated[
        bool,
        typer.Option(
            "--data-free", help="Without data: synthesise inputs from the model's batch norms."
        ),
    ] = False,
    preprocess: Preprocess = "none",
    device: Devices = None,
    toolchain: Toolchains = None,
    at: At = "",
    ssh_config: SshConfig = "",
    trust_profile: TrustProfile = False,
    recipe: Annotated[
        str, typer.Option(metavar="FILE", help="Steps from a TOML file, in its order.")
    ] = "",
    step: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help='A step, as in --step "prune sparsity=0.8"; repeat for more, in order.',
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The result (default: MODEL's name, .tflite or .esz, here).",
        ),
    ] = "",
    run: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where every stage is kept, to resume from.")
    ] = "",
    metric: Metric = "",
    input_shape: InputShapes = None,
    custom: Custom = None,
    unsafe: Unsafe = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite the output, and go on where data looks wrong."),
    ] = False,
    export: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Also write the result as source: c, for a microcontroller."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and stop before any work.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
    training: dict[str, Any],
    numbers: dict[str, Any],
    keeping: dict[str, Any],
    reading: dict[str, Any],
    meaning: dict[str, Any],
    perturbing: dict[str, Any],
) -> None:
    """Make a model smaller: prune, quantize, convert, run, measure.

    Flags mean steps in their usual order; --step and --recipe give any other. The plan is
    printed before any work, and a run that is interrupted goes on where it was.

    Example: edgeshrink compress model.keras --prune 0.8 --int8 --data mnist.npz
    """
    plugins = registry()
    settings = build(Numbers, numbers, "compress")
    budgets = build(Budgets, keeping, "compress")
    robust = asked(perturbing, "compress")
    tuning = build(Training, training, "training")
    loss, own = own_losses(tuning.loss)
    tuning = replace(tuning, loss=loss)
    if sum(map(bool, (recipe, step, chosen))) > 1:
        raise UsageError(NO_MIX)
    wanted = _recipe(recipe, step or [], chosen, plugins.methods)
    if recipe:
        wanted = wanted.trained_by(tuning)
    else:
        wanted = replace(wanted, training=tuning.over(wanted.training))
    if settings.seed is not None:
        wanted = replace(wanted, seed=settings.seed)
    # a wrong flag is told by now, without what reads models and data
    from edgeshrink.engine import Request, compress as work, default_out, plan

    source, said = Path(model), build(Meaning, meaning, "compress")
    request = Request(
        model=source,
        recipe=wanted,
        out=Path(output) if output else default_out(source, wanted),
        data=data,
        data_free=data_free,
        preprocess=preprocess,
        reading=reading,
        task=said.task,
        decode=said.decode,
        calibration=settings.calibration,
        devices=tuple(device or ("desktop",)),
        toolchains=tuple(toolchain or ()),
        at=at,
        connection={"config": ssh_config} if ssh_config else {},
        trust_profile=trust_profile,
        run=Path(run) if run else None,
        force=force,
        unsafe=unsafe,
        custom=(*(custom or ()), *own),
        input_shapes=shapes(input_shape or []),
        metric=metric,
        budgets=budgets,
        robustness=robust.robustness,
        robustness_samples=robust.robustness_samples,
        seconds=seconds(settings.time) if settings.time else None,
        exports=tuple(export or ()),
        bench=RULES[settings.rules],
        command=typed(),
    )
    planned = plan(request, plugins)
    warn(*planned.warnings)
    if dry_run and json:
        print_json(as_dict(planned))
        return
    from edgeshrink.cli.display.progress import Watcher
    from edgeshrink.cli.display.runs import show_plan, show_report
    from edgeshrink.cli.display.tables import console

    show_plan(planned, to=console(stderr=not dry_run))
    if dry_run:
        return
    with Watcher(plugins):
        report = work(planned, plugins)
    if json:
        print_json(report.as_dict())
    else:
        sources = [
            request.out.with_name(one)
            for name in request.exports
            for one in plugins.exporters[name]().names(request.out.stem)
        ]
        show_report(report, to=console(), files=[*written(request.out), *sources])
    tell_size(request.run_folder)
    if report.ledger.lost:
        raise typer.Exit(3)
    if report.failed:
        say(f"error: {report.failed}", err=True)
        say(f"hint:  {report.output} is kept{advice(report)}", err=True)
        raise typer.Exit(4)


def advice(report: Report) -> str:
    """Return what can be done about a result that is not what was asked for."""
    if not report.data:
        return "; pass --data to fine-tune, and to measure accuracy"
    if report.verdict.failure:
        return "; ask for less, train longer (--effort thorough), or accept it (--max-drop none)"
    return ""


def _recipe(path: str, steps: list[str], chosen: Mapping[str, Any], methods: Methods) -> Recipe:
    if path:
        from edgeshrink.texts import read_text

        return Recipe.from_toml(read_text(Path(path), "recipe"), methods, origin=path)
    if steps:
        return Recipe.from_steps(steps, methods)
    return Recipe.from_flags(chosen, methods)


def shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """Return input shapes by name; the name is empty where only a shape is given.

    Raises:
        UsageError: a text is no shape, or a name is given twice.
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, numbers = text.rpartition("=")
        try:
            shape = tuple(int(number) for number in numbers.split(","))
        except ValueError:
            shape = ()
        if not shape or min(shape) < 1:
            raise UsageError(
                f"--input-shape must be whole numbers at least 1; received {text!r}",
                hint="as in --input-shape 1,224,224,3 or --input-shape image=1,224,224,3",
            )
        if name in found:
            raise UsageError(f"--input-shape gives {name or 'the input'} two shapes")
        found[name] = shape
    return found


def written(out: Path, more: Sequence[str] = ()) -> list[Path]:
    """Return the files of a result: itself, and those beside it that tell of it and run it.

    Args:
        out: the result.
        more: how the names of further ones end, such as those of a search.
    """
    return [out, *(p for p in map(out.with_suffix, (*BESIDE, *more)) if p.exists())]


def as_dict(planned: Planned) -> dict[str, Any]:
    """Return a plan as plain JSON values."""
    return {
        "model": str(planned.request.model),
        "output": str(planned.request.out),
        "devices": [device.name for device in planned.devices],
        "data": planned.data.counts() if planned.data else {},
        "recipe": planned.recipe.to_toml(),
        "steps": [
            {
                "step": str(planned_step.step),
                "training": vars(planned_step.training) if planned_step.training else None,
                "notes": planned_step.notes,
            }
            for planned_step in planned.steps
        ],
        "warnings": planned.warnings,
    }
