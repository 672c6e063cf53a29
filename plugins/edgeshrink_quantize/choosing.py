"""Choosing between files that are made of the same model."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

from edgeshrink.api import Context, VerificationError


def chosen(made: Mapping[str, bytes], context: Context) -> bytes:
    """Return the smallest candidate among those that agree with float as well as the best does.

    As well means: within one standard error of the best share of agreement. A single candidate is
    not measured.
    """
    if len(made) == 1:
        return next(iter(made.values()))
    context.progress(0.8, "comparing candidates")
    agreed, wrong = {}, {}
    for name, data in made.items():
        try:
            agreed[name] = context.agreement(data)
        except VerificationError as error:
            wrong[name] = error
    if not agreed:
        raise next(iter(wrong.values()))
    context.notes += [f"scales for each {name} were ruled out: {e}" for name, e in wrong.items()]
    shares = {name: agreement.share for name, agreement in agreed.items()}
    samples = next(iter(agreed.values())).samples
    least = least_as_good(max(shares.values()), samples)
    good = [name for name, share in shares.items() if share >= least]
    sizes = {name: len(zlib.compress(made[name], 9)) for name in shares}
    smallest = min(good, key=lambda name: (sizes[name], len(made[name])))
    told = "; ".join(
        f"{name}: {shares[name]:.2%} agreement, {sizes[name]:,} bytes compressed" for name in shares
    )
    context.facts["granularity"] = smallest
    context.notes.append(f"scales for each {smallest} were chosen ({told})")
    return made[smallest]


def least_as_good(share: float, samples: int) -> float:
    """Return the least share of agreement that is as good: one standard error less."""
    return share - math.sqrt(max(share * (1 - share), 1 / samples) / samples)
