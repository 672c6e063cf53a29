"""Fine-tuning, which keeps what earlier steps made: zeros, and shared values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.nn.learning.choosing import chosen_training
from edgeshrink.nn.learning.reparameterization import Reparameterized
from edgeshrink.nn.learning.training import Course
from edgeshrink.nn.learning.weight_sharing import shared_values

if TYPE_CHECKING:
    import keras

    from edgeshrink.nn.learning.masks import Masks
    from edgeshrink.nn.learning.supervision import Supervision
    from edgeshrink.nn.learning.training import Schedule
    from edgeshrink.recipes import Context


def finetune(
    model: keras.Model,
    context: Context,
    *,
    masks: Masks | None = None,
    schedule: Schedule | None = None,
    taught: Supervision | None = None,
) -> keras.Model:
    """Train a model in place on the data of `context`, by its training settings.

    Kernels with shared values are trained as codebooks (see `shared_values`): zeros and the
    number of distinct values are kept.

    Args:
        model: trained in place; a `Reparameterized` one is trained as it is.
        context: data, settings, seed, teacher and validation score.
        masks: zero patterns to hold; None holds whatever zeros the kernels have.
        schedule: changes the masks while training goes on: its `update(share)` is told the share
            (0..1) of steps that are done, its `settled` says whether the masks stay as they are.
        taught: what is learned; None for what the settings say.

    Returns:
        The model.

    Raises:
        DataError: there are no training samples.
        UsageError: there is no such loss, or there are no images to shift or flip.
        EdgeshrinkError: the loss is no longer a number.
    """
    if not isinstance(model, Reparameterized) and (sharing := shared_values(model)):
        seen = Reparameterized(model, sharing)
        finetune(seen, context, masks=masks, schedule=schedule, taught=taught)
        return seen.settle()
    context = chosen_training(model, context, masks, schedule, taught)
    Course(model, context, masks=masks, taught=taught).run(schedule)
    return model
