"""Remove channels in rounds, prove each removal, and train what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import TOLERANCE, Asked, Context, ModelError, near
from edgeshrink.nn import (
    AxisRole,
    ChannelGraph,
    ModelCount,
    channel_graph,
    chosen_training,
    count,
    finetune,
    reestimate_batchnorm,
)
from edgeshrink_shrink.cost import share_left
from edgeshrink_shrink.importance import importance
from edgeshrink_shrink.proof import rebuilt
from edgeshrink_shrink.selecting import Limits, evenly, together
from edgeshrink_shrink.slimming import slimmed

if TYPE_CHECKING:
    from edgeshrink_shrink.options import ShrinkOptions

NAMED = 12  # groups in a sentence
MEASURED = 64  # removals between which a measured target is searched for, in six steps


def shrink(model: keras.Model, options: ShrinkOptions, context: Context) -> keras.Model:
    """Return a narrower model.

    Raises:
        ModelError: nothing can go.
        VerificationError: the rebuilt model does not compute what it should.
    """
    criterion = options.criterion
    if criterion == "auto":
        criterion = "taylor" if trainable(context) else "l2"
    before, first = count(model), followed(model)
    left = share_left(options.target, first, context)
    if options.slimming:
        slimmed(model, options.slimming, context)
    tile = context.profile.tile if options.in_tiles else options.round or 1
    done = Asked("shrink", options.ratio, options.target, 0.0)
    for turn in range(1, options.rounds + 1):
        graph = followed(model)
        # labels say what matters, whoever teaches: a model is no way off its own answers yet
        asked = replace(context, training=replace(context.training, teacher="none"))
        worth = importance(graph, criterion, asked)
        worth[~made_by(graph, options.layers)] = np.inf
        wanted = options.ratio * turn / options.rounds
        tile, removed, done = tiled(graph, worth, options, tile, partial(left, graph), wanted)
        model = rebuilt(graph, removed, context)
        made_good(model, context, turn, options.rounds)
    context.facts["criterion"], context.facts["share_removed"] = criterion, done.done
    done.tell(context)
    tiles = f", in tiles of {tile} channels" if tile > 1 else ""
    asked = f"{done.done:.1%} of {options.target} ({options.ratio:.1%} asked{tiles})"
    told(context, first, before, model, f"{asked}, by {criterion}")
    context.notes.append(
        "rebuilt without these channels, the model answered as it did with them at zero"
    )
    return model


def tiled(
    graph: ChannelGraph,
    worth: np.ndarray,
    options: ShrinkOptions,
    tile: int,
    left: Callable[[np.ndarray], float],
    wanted: float,
) -> tuple[int, np.ndarray, Asked]:
    """Return the tile, the removal, `(numbers,)`, and what it removes beside what is wanted.

    A tile of the device is halved as long as a share is missed with it; one that was asked for
    stays.
    """
    while True:
        limits = Limits(options.min_width, tile)
        removed = selected(graph, worth, options, limits, left, 1 - wanted)
        share = 1 - left(removed)
        apart = share - wanted
        finest = 0.0
        if abs(apart) > TOLERANCE:  # or nothing is measured for it
            finest = worth_of_tile(graph, removed, limits, left, back=apart > 0)
        done = Asked(
            "shrink",
            wanted,
            options.target,
            share,
            finest=finest,
            why="groups keep what --shrink-min-width and --shrink-round say",
        )
        if not (done.missed and options.in_tiles and tile > 1):
            return tile, removed, done
        tile //= 2


def selected(
    graph: ChannelGraph,
    worth: np.ndarray,
    options: ShrinkOptions,
    limits: Limits,
    left: Callable[[np.ndarray], float],
    goal: float,
) -> np.ndarray:
    """Return the removal that leaves the share nearest to a goal, `(numbers,)`."""
    measured = MEASURED if options.target in ("bytes", "ms") else None
    even = evenly(graph, worth, limits).nearest(left, goal, measured)
    if options.scope == "layer":
        return even
    return together(graph, worth, limits, even).nearest(left, goal, measured)


def worth_of_tile(
    graph: ChannelGraph,
    removed: np.ndarray,
    limits: Limits,
    left: Callable[[np.ndarray], float],
    *,
    back: bool = False,
) -> float:
    """Return the share of the cost that is in one more tile of the widest group that was cut.

    Args:
        graph: of the model.
        removed: what goes, `(numbers,)`.
        limits: what is kept of each group.
        left: the share of the cost that a removal leaves.
        back: of one tile less instead.

    Returns:
        0 where no group that was cut can give one.
    """
    able = [
        group
        for group in graph.free
        if removed[group.channels].any()
        and (
            back
            or (~removed[group.channels]).sum() - limits.tile_of(group) >= limits.kept(group, 1)
        )
    ]
    if not able:
        return 0.0
    widest = max(able, key=len)
    other, channels = removed.copy(), widest.channels
    of = channels[removed[channels] == back][: limits.tile_of(widest)]
    other[of] = not back
    return abs(left(removed) - left(other))


def made_by(graph: ChannelGraph, layers: Sequence[str]) -> np.ndarray:
    """Return which channels may go and are made by these layers, `(numbers,)`; by any, if none.

    Raises:
        ModelError: a layer makes no channels that may go.
    """
    makers: dict[str, list[np.ndarray]] = {}
    for group in graph.free:
        for axis in group.axes:
            if axis.role is not AxisRole.INPUTS:
                makers.setdefault(axis.path.rpartition("/")[2], []).append(group.channels)
    found = np.zeros(graph.numbers, bool)
    for name in layers or makers:
        if name not in makers:
            raise ModelError(f"{name} makes no channels that can go", hint=near(name, makers))
        found[np.concatenate(makers[name])] = True
    return found


def followed(model: keras.Model) -> ChannelGraph:
    """Return the graph of a model in which channels can go.

    Raises:
        ModelError: in this one none can.
    """
    graph = channel_graph(model)
    if any(len(group) > 1 for group in graph.free):
        return graph
    said = "; ".join(f"{n} channels: {why}" for why, n in fences(graph).most_common(5))
    raise ModelError(
        f"nothing can shrink in {model.name}: {said}",
        hint="--prune, --lowrank and the precisions work on such a model",
    )


def trainable(context: Context) -> bool:
    """Return whether there is something to train on."""
    return context.data is not None and context.data.train is not None


def made_good(model: keras.Model, context: Context, turn: int, rounds: int) -> None:
    """Train after a removal with this round's share of the epochs, or estimate batch norms anew."""
    epochs = 0
    if context.trains:
        context = chosen_training(model, context)
        whole = context.training.epochs or 0
        epochs = whole * turn // rounds - whole * (turn - 1) // rounds
    if epochs:
        finetune(model, replace(context, training=replace(context.training, epochs=epochs)))
    elif reestimate_batchnorm(model, context):
        said = "batch-norm statistics were estimated anew on training samples"
        context.notes += [] if said in context.notes else [said]  # once, whatever the rounds


def told(
    context: Context, graph: ChannelGraph, before: ModelCount, model: keras.Model, what: str
) -> None:
    """Note what went, group by group, and what had to stay."""
    after, now = count(model), {str(g): len(g) for g in channel_graph(model).groups}
    context.notes.append(
        f"removed {what}: parameters {before.parameters:,} → {after.parameters:,}, "
        f"MACs {before.macs:,} → {after.macs:,}"
    )
    changed = [
        f"{str(g).split(' ', 1)[0]} {len(g)} → {now[str(g)]}"
        for g in graph.free
        if now.get(str(g), len(g)) != len(g)
    ]
    more = f" and {len(changed) - NAMED} groups more" if len(changed) > NAMED else ""
    if changed:
        context.notes.append(f"widths: {', '.join(changed[:NAMED])}{more}")
    inner = {why: n for why, n in fences(graph).items() if "of the model" not in why}
    more = f" and {len(inner) - 3} reasons more" if len(inner) > 3 else ""
    if inner:
        said = "; ".join(f"{n} channels ({why})" for why, n in Counter(inner).most_common(3))
        context.notes.append(f"had to stay: {said}{more}")


def fences(graph: ChannelGraph) -> Counter[str]:
    """Return how many channels must stay for each reason."""
    found: Counter[str] = Counter()
    for group in graph.groups:
        if group.fence:
            found[group.fence] += len(group)
    return found
