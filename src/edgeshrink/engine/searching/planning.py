"""What a search asks for, checked before TensorFlow is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgeshrink.devices import DeviceProfile
from edgeshrink.engine.measuring.sessions import chosen_devices, is_host
from edgeshrink.engine.planning.base import facts_of
from edgeshrink.engine.planning.planner import load_data, plan
from edgeshrink.engine.planning.request import Planned, Request
from edgeshrink.engine.searching.arithmetic import check_possible
from edgeshrink.engine.searching.goals import GOALS, check_told, picked_by, wanted
from edgeshrink.engine.searching.request import SearchRequest
from edgeshrink.engine.searching.seeding import read_sensitivity, seeded
from edgeshrink.errors import UsageError
from edgeshrink.flag import build
from edgeshrink.models import Kind, file_digest, read_sealed
from edgeshrink.part import pip_install, version_of
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Recipe, Space, Training, digest_of
from edgeshrink.texts import read_text

# in the run folder: a folder for each trial, and the stages that they share
TRIALS, STAGES = "trials", "stages"
EFFORTS = ("quick", "normal", "thorough")
WRITTEN = "written.json"  # in the run folder: the digest of what a search wrote


@dataclass(frozen=True)
class PlannedSearch:
    """A checked request.

    Attributes:
        request: as it was asked for.
        space: what may be tried.
        lightest: the plan of its lightest recipe.
        key: what decides the results, SHA-256 in hex.
    """

    request: SearchRequest
    space: Space
    lightest: Planned
    key: str


def plan_search(request: SearchRequest, plugins: Plugins) -> PlannedSearch:
    """Return what would be searched, with every mistake told that can be told by now.

    Raises:
        UsageError: what the request says is wrong, or arithmetic refuses all of it.
        ModelError: the model file cannot be worked with.
        DataError: the data cannot be used, or does not fit the model.
    """
    base = request.base
    if not version_of("optuna"):
        raise UsageError("a search needs optuna", hint=pip_install(["optuna"]))
    if not base.data:
        raise UsageError("a search chooses by labelled samples", hint="pass --data")
    if base.out.suffix not in (Kind.TFLITE.suffix, Kind.PACKED.suffix):
        raise UsageError(f"a search writes a .tflite or .esz file; received {str(base.out)!r}")
    device = chosen_devices(
        base.devices,
        base.at,
        base.connection,
        plugins,
        trust=base.trust_profile,
        toolchains=base.toolchains,
    )[0]
    request = replace(request, goals=wanted(request.goals, base.budgets, device))
    check_told(request.goals, device)
    if request.pick != "knee":
        picked_by(request.pick, request.goals)
    space = _space(request, device, plugins)
    if request.sensitivity is not None:
        space = seeded(space, read_sensitivity(request.sensitivity))
    lightest = space.recipe(next(space.points()))
    force = base.force or wrote(request)
    planned = plan(replace(base, recipe=lightest, force=force), plugins)
    data = planned.data
    assert data is not None
    if data.validation is None or not (data.validation.labels is not None or data.given_back):
        raise UsageError(
            "a search chooses by labelled validation samples, and the data has none",
            hint="give labels, and more training samples, of which some are set aside",
        )
    check_times(request, planned.profile, request.jobs or 1)
    check_possible(space, planned.facts, planned.profile, base.budgets.most_bytes)
    decides = {
        "space": space.to_toml(),
        "model": planned.base.digest,
        "data": data.digest,
        "task": base.task,
        **({"decode": base.decode} if base.decode else {}),
        "metric": base.metric,
        "device": planned.profile.name,
        "goals": request.goals,
    }
    return PlannedSearch(request, space, planned, digest_of(decides))


def check_times(request: SearchRequest, device: DeviceProfile, places: int) -> None:
    """Refuse to time recipes where they are made, if they are made in several places at once.

    Args:
        request: says what counts.
        device: that times are measured on.
        places: where recipes are made side by side, on this machine or on a cluster.

    Raises:
        UsageError: times count, and the device is whichever machine makes a recipe.
    """
    if places > 1 and "ms" in request.goals and is_host(device):
        if request.scheduler:
            raise UsageError(
                "times of one worker's machine are not those of another, nor its own while it "
                f"trains another recipe beside; received {places} places at {request.scheduler}",
                hint="--goals bytes, or a --device that all workers reach",
            )
        raise UsageError(
            "times of this machine are not its own while it trains another recipe beside",
            hint="--jobs 1, --goals bytes, or another --device",
        )


def _space(request: SearchRequest, device: DeviceProfile, plugins: Plugins) -> Space:
    base = request.base
    if request.space is not None:
        text = read_text(request.space, "space")
        return Space.from_toml(text, plugins.methods, origin=request.space.name)
    found = facts_of(base, plugins)
    space = Space.of(
        plugins.methods,
        device,
        {GOALS[goal].gained for goal in request.goals},
        produces=Kind.PACKED if base.out.suffix == Kind.PACKED.suffix else Kind.TFLITE,
        model=found,
        data=load_data(base, base.recipe.seed, found, plugins),
        training=base.recipe.training,
        seed=base.recipe.seed,
    )
    if not space.places:
        raise UsageError("no installed method moves what is asked for", hint="--space says more")
    return space


def wrote(request: SearchRequest) -> bool:
    """Return whether the output is as this search left it, so that going on may replace it."""
    kept, out = read_sealed(request.run_folder / WRITTEN), request.base.out
    return kept is not None and out.is_file() and file_digest(out) == kept.get("digest")


def efforts(recipe: Recipe) -> tuple[str, ...]:
    """Return the efforts with which a recipe is trained, one after another, the least first.

    The last is what the space asks for. Where nothing is trained, or the epochs are given, there is
    one, an empty text: the recipe as it is.
    """
    every = [one for step in recipe.steps for one in (*step.before(), step)]
    trained = [recipe.resolved(one) for one in every if one.training is not None]
    if all(one.epochs is not None for one in trained):
        return ("",)
    most = recipe.training.effort or "normal"
    return EFFORTS[: EFFORTS.index(most) + 1]


def with_effort(recipe: Recipe, effort: str) -> Recipe:
    """Return a recipe that is trained with an effort; as it is where the effort is empty."""
    return recipe.trained_by(build(Training, {"effort": effort}, "search")) if effort else recipe


def asked(request: SearchRequest, recipe: Recipe) -> Request:
    """Return the request of one trial, judged on validation samples."""
    key = digest_of({"recipe": recipe.to_toml()})
    folder = (request.run_folder / TRIALS / key[:12]).resolve()
    return replace(
        request.base,
        recipe=recipe,
        out=folder / f"model{request.base.out.suffix}",
        run=folder / "run",
        stages=(request.run_folder / STAGES).resolve(),
        force=True,
        judged="validation",
    )
