"""The command `search`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edgeshrink.cli.commands.clean import tell_size
from edgeshrink.cli.say import say
from edgeshrink.cli.shared import (
    At,
    Custom,
    Debug,
    Devices,
    InputShapes,
    Json,
    KerasModel,
    Metric,
    Preprocess,
    SshConfig,
    TrustProfile,
    Unsafe,
    print_json,
    registry,
    single,
    typed,
    warn,
)
from edgeshrink.cli.typer_flags import with_method_flags
from edgeshrink.cli.work import Work
from edgeshrink.devices import RULES, RULES_HELP
from edgeshrink.errors import UsageError
from edgeshrink.flag import Flag, build
from edgeshrink.recipes import Recipe, Training, own_losses
from edgeshrink.results import USUAL_TRIALS, Budgets
from edgeshrink.samples import Meaning, Reading
from edgeshrink.texts import seconds

SEARCHED = (".search.md", ".search.json", ".search.html")


@dataclass(frozen=True)
class Searching:
    """How long to search, for what, and which recipe is written."""

    time: Annotated[
        str,
        Flag("Begin no trial that would end later than so, as in 20m or 2h.", metavar="TIME"),
    ] = ""
    trials: Annotated[
        int | None,
        Flag(
            f"Recipes that are measured, at most (default: {USUAL_TRIALS} without --time, all in a "
            "grid).",
            min=1,
        ),
    ] = None
    goals: Annotated[
        tuple[Literal["bytes", "ms", "arena", "flash", "cycles"], ...],
        Flag(
            "What counts beside the score: bytes of the file, ms of an inference, arena bytes; "
            "where a compiler tells them, bytes in flash and its estimate of cycles (default: "
            "bytes,ms; for an NPU flash,cycles)."
        ),
    ] = ()
    pick: Annotated[
        Literal["knee", "smallest", "fastest", "best"],
        Flag(
            "Which recipe of the front is written: where a little more of one goal begins to cost "
            "much of others, or the one that is best in one of them."
        ),
    ] = "knee"
    sampler: Annotated[
        Literal["guided", "grid", "random", "tpe", "nsga2"],
        Flag(
            "What chooses the next recipe: `guided` by its expected gain for its time, `grid` one "
            "after another; the others are Optuna's."
        ),
    ] = "guided"
    seed: Annotated[int, Flag("Seed of everything random.", min=0)] = 0
    rules: Annotated[Literal["smoke", "demo", "quick", "mlperf"], Flag(RULES_HELP)] = "quick"


def app() -> typer.Typer:
    """Return the command."""
    flags = with_method_flags(
        {},
        training=Training,
        searching=Searching,
        work=Work,
        keeping=Budgets,
        reading=Reading,
        meaning=Meaning,
    )
    return single(flags(search))


def search(
    model: KerasModel,
    data: Annotated[
        str, typer.Option(metavar="SPEC", help="Data with labels, as for compress.")
    ] = "",
    preprocess: Preprocess = "none",
    device: Devices = None,
    at: At = "",
    ssh_config: SshConfig = "",
    trust_profile: TrustProfile = False,
    space: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="What may be tried, in TOML (default: what methods say)."
        ),
    ] = "",
    sensitivity: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="What `edgeshrink sensitivity --json` printed: steps are tried also without the "
            "layers that bear least.",
        ),
    ] = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The result, .tflite or packed .esz (default: MODEL's name, here).",
        ),
    ] = "",
    run: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where all trials are kept, to go on from.")
    ] = "",
    storage: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Keep trials in this database, for workers on other machines."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of the search there (default: MODEL's).")
    ] = "",
    worker: Annotated[
        bool, typer.Option("--worker", help="Help a search that was begun, and write no result.")
    ] = False,
    metric: Metric = "",
    input_shape: InputShapes = None,
    custom: Custom = None,
    unsafe: Unsafe = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the output, and go on where a check stops.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the space as TOML, and try nothing.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
    training: dict[str, Any],
    searching: dict[str, Any],
    work: dict[str, Any],
    keeping: dict[str, Any],
    reading: dict[str, Any],
    meaning: dict[str, Any],
) -> None:
    """Find the recipe that is as small and fast as it gets, for what may be lost.

    Recipes are made and measured one after another, judged on validation samples; each costs only
    the steps that no earlier one had. The one that is picked is judged on the test samples, once.
    Interrupted anywhere, the same command goes on; with more --time or --trials it looks further.

    Example: edgeshrink search model.keras --data mnist.npz --max-drop 1 --time 30m
    """
    settings, budgets = build(Searching, searching, "search"), build(Budgets, keeping, "search")
    tuning, apart = build(Training, training, "training"), build(Work, work, "search")
    loss, own = own_losses(tuning.loss)
    tuning = replace(tuning, loss=loss)
    if worker and not storage:
        raise UsageError("--worker helps a search by its --storage", hint="give both its --name")
    from edgeshrink.cli.commands.compress import shapes, written
    from edgeshrink.engine import (
        Request,
        SearchRequest,
        default_out,
        plan_search,
        search as engine_search,
    )

    plugins, recipe = registry(), Recipe(training=tuning, seed=settings.seed)
    said = build(Meaning, meaning, "search")
    base = Request(
        model=Path(model),
        recipe=recipe,
        out=Path(output) if output else default_out(Path(model), recipe),
        data=data,
        preprocess=preprocess,
        reading=reading,
        task=said.task,
        decode=said.decode,
        devices=tuple(device or ("desktop",)),
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
        bench=RULES[settings.rules],
        command=typed(),
    )
    request = SearchRequest(
        base,
        Path(space) if space else None,
        Path(sensitivity) if sensitivity else None,
        settings.goals,
        settings.trials or (None if settings.time or settings.sampler == "grid" else USUAL_TRIALS),
        seconds(settings.time) if settings.time else None,
        settings.pick,
        settings.sampler,
        storage,
        name,
        apart.jobs,
        apart.scheduler,
        worker,
    )
    planned = plan_search(request, plugins)
    warn(*planned.lightest.warnings)
    if dry_run:
        if json:
            print_json({"recipes": planned.space.size, "space": planned.space.to_toml()})
        else:
            say(f"# {planned.space.size:,} recipes\n{planned.space.to_toml()}".rstrip("\n"))
        return
    from edgeshrink.cli.display.progress import TrialWatcher
    from edgeshrink.cli.display.searches import show_search
    from edgeshrink.cli.display.tables import console

    with TrialWatcher(plugins):
        report = engine_search(planned, plugins)
    if json:
        print_json(report.as_dict())
    elif not worker:
        show_search(report, to=console(), files=written(base.out, SEARCHED))
    tell_size(request.run_folder)
    if report.failed and not worker:
        say(f"error: {report.failed}", err=True)
        kept = f"{report.output} is kept" if report.picked is not None else "nothing was written"
        say(f"hint:  {kept}; allow more, or search longer (--time, --trials)", err=True)
        raise typer.Exit(4)
