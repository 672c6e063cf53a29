"""The command `bench`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edgeshrink.cli.display.robustness import Robustness, asked
from edgeshrink.cli.say import say
from edgeshrink.cli.shared import (
    At,
    Debug,
    Devices,
    Json,
    Metric,
    Preprocess,
    SshConfig,
    TrustProfile,
    print_json,
    registry,
    single,
    typed,
)
from edgeshrink.cli.typer_flags import with_method_flags
from edgeshrink.devices import RULES, RULES_HELP, Kernels
from edgeshrink.errors import UsageError
from edgeshrink.flag import Flag, build
from edgeshrink.models import write_text
from edgeshrink.results import Budgets, json_text
from edgeshrink.samples import Meaning, Reading


@dataclass(frozen=True)
class Timing:
    """Timing."""

    rules: Annotated[
        Literal["smoke", "demo", "quick", "mlperf"],
        Flag(RULES_HELP),
    ] = "quick"
    threads: Annotated[int | None, Flag("Threads of the runtime.", min=1)] = None
    kernels: Annotated[
        Kernels | None,
        Flag("What LiteRT runs models with: its fast kernels, its own, or its reference kernels."),
    ] = None
    profile: Annotated[bool, Flag("Also tell the time of each operator.")] = False
    energy: Annotated[
        bool, Flag("Also measure energy, ten seconds a model, where the device tells it.")
    ] = False
    affinity: Annotated[
        tuple[int, ...], Flag("Run on this core only; repeat for more.", min=0, metavar="CORE")
    ] = ()
    cool_down: Annotated[
        float, Flag("Seconds of rest before models are timed.", min=0, max=3600)
    ] = 0.0


def app() -> typer.Typer:
    """Return the command."""
    return single(
        with_method_flags(
            {},
            timing=Timing,
            keeping=Budgets,
            reading=Reading,
            meaning=Meaning,
            perturbing=Robustness,
        )(bench)
    )


def bench(
    models: Annotated[
        list[str], typer.Argument(metavar="MODELS...", help=".tflite and .esz files.")
    ],
    device: Devices = None,
    at: At = "",
    ssh_config: SshConfig = "",
    trust_profile: TrustProfile = False,
    data: Annotated[
        str, typer.Option(metavar="SPEC", help="Data to score with, as for compress.")
    ] = "",
    preprocess: Preprocess = "none",
    metric: Metric = "",
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Also write the result as JSON here."),
    ] = "",
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep what the same command measured before it was cut off."),
    ] = False,
    json: Json = False,
    block: Annotated[
        bool,
        typer.Option(
            "--block",
            help="Print what was measured as a block to send, without any name or path, and "
            "nothing else.",
        ),
    ] = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
    timing: dict[str, Any],
    keeping: dict[str, Any],
    reading: dict[str, Any],
    meaning: dict[str, Any],
    perturbing: dict[str, Any],
) -> None:
    """Time models on devices, and score them there.

    Models are timed in turns, in their own process, every run kept; accuracy is computed here
    from the outputs of the device, and outputs are compared with this machine's. Several devices
    work side by side. Of several models the first is what the others are compared with, and
    budgets are for the others.

    Example: edgeshrink bench small.tflite base.tflite --device rpi4 --data mnist.npz
    """
    from edgeshrink.cli.display.bench_table import show_bench
    from edgeshrink.cli.display.progress import Watcher
    from edgeshrink.cli.display.tables import console
    from edgeshrink.engine import BenchRequest, bench as work

    plugins = registry()
    options = build(Timing, timing, "bench")
    budgets = build(Budgets, keeping, "bench")
    robust = asked(perturbing, "bench")
    if json and block:
        raise UsageError("--json and --block are two ways to print; received both")
    for flag, given in (("--profile", options.profile), ("--robustness", robust.robustness)):
        if block and given and not output:  # which has it
            raise UsageError(
                f"a block does not tell what {flag} finds; received both",
                hint=f"drop {flag}, or write all of it with -o FILE",
            )
    if output and any(Path(output).absolute() == Path(m).absolute() for m in models):
        raise UsageError(f"-o would overwrite {output}", hint="name another file")
    if output and not Path(output).absolute().parent.is_dir():
        raise UsageError(f"no folder {str(Path(output).parent)!r} to write {output} to")
    said = build(Meaning, meaning, "bench")
    request = BenchRequest(
        models=tuple(map(Path, models)),
        devices=tuple(device or ("desktop",)),
        at=at,
        connection={"config": ssh_config} if ssh_config else {},
        options={"kernels": options.kernels} if options.kernels else {},
        trust_profile=trust_profile,
        resume=resume,
        plan=replace(
            RULES[options.rules],
            threads=options.threads,
            profile=options.profile,
            energy=options.energy,
            affinity=options.affinity,
            cool_down=options.cool_down,
        ),
        data=data,
        preprocess=preprocess,
        reading=reading,
        task=said.task,
        decode=said.decode,
        metric=metric,
        robustness=robust.robustness,
        robustness_samples=robust.robustness_samples,
        budgets=budgets,
        command=typed(),
    )
    with Watcher(plugins):
        report = work(request, plugins)
    document = report.as_dict()
    if output:
        text = json_text(document)
        write_text(Path(output), text + "\n")
    if json:
        print_json(document)
    elif block:
        from edgeshrink.cli.display.board_block import board_block
        from edgeshrink.engine import chosen_devices

        devices = chosen_devices(request.devices, at, {}, plugins, trust=trust_profile)
        say(board_block(report, devices, plugins).rstrip("\n"))
    else:
        show_bench(report, to=console())
    if report.lost:
        say("hint:  the same command with --resume goes on from here", err=True)
        raise typer.Exit(3)
    if report.failed:
        raise typer.Exit(1)
    if report.unmet:
        say(f"error: {report.unmet}", err=True)
        raise typer.Exit(4)
