"""Look-up tables: constants of few values behind TensorFlow Lite Micro's operator TFLM_DECODE."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from edgeshrink.api import (
    CommandFailed,
    Context,
    Kind,
    Method,
    Need,
    Phase,
    Plan,
    Room,
    UsageError,
    VerificationError,
)
from edgeshrink_tflm.package import MICRO

INPUTS = 64  # random ones, on which files with and without tables must answer alike


class Lut(Method):
    """Store tensors of few values as look-up tables for TensorFlow Lite Micro: less flash.

    Such a tensor is decoded into the arena each time that its operator runs, so that flash is
    bought with memory and time. Which tensors are is chosen so that file and arena fit the device,
    and --max-bytes and --max-arena where they are given; of what fits the smallest file is taken.
    Values are few after --cluster.
    """

    name, title, phase = "lut", "Look-up tables", Phase.PACK
    accepts, produces, data = (Kind.TFLITE,), Kind.TFLITE, Need.NONE
    keeps = frozenset({"sparsity", "clusters", "outputs", "quantization"})
    requires = (MICRO.name,)
    fits = True
    stores = ("shared_values",)

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse devices that cannot run it, and say where values may not be few.

        Raises:
            UsageError: the device is no microcontroller, or its precision has no integers.
        """
        device = plan.profile
        if device.runtime != "tflm":
            raise UsageError(
                "--lut makes a file that TensorFlow Lite Micro alone runs; "
                f"{device.name} runs {device.runtime}",
                hint="name a microcontroller, as in --device tflm, or drop --lut",
            )
        if not plan.has("cluster", among=plan.before):
            yield (
                "lut: only tensors of at most 128 values are looked up, and they gain where values "
                "are few; --cluster 16 makes them so"
            )

    def apply(self, model: bytes, context: Context) -> bytes:
        """Return the smallest file that fits; facts tell its needs, its tables and the front.

        `front` has flash and arena in bytes and the number of tables of each choice that no other
        beats; `unmet` says that none fits.
        """
        from edgeshrink.tflite import naming, read_model, strip
        from edgeshrink_tflm.choosing import Choices, best, front
        from edgeshrink_tflm.process import Micro
        from edgeshrink_tflm.tables import tables

        flat = read_model(model)
        names = naming(model)
        stripped = len(strip(model, names)[0]) >= len(model)
        with tempfile.TemporaryDirectory(prefix="edgeshrink-") as folder:
            micro = Micro(flat, Path(folder))
            choices = Choices(model, micro, lambda one: strip(one, names)[0] if stripped else one)
            context.progress(0.1, "measuring which tensors to look up")
            found = choices.explored(tables(model, flat), context.room)
            if not found or found[0].groups:
                micro.needed(model)  # says why
                raise CommandFailed("TensorFlow Lite Micro does not run the file")
            chosen = best(found, context.room)
            context.progress(0.9, "comparing outputs")
            if chosen.groups and not micro.same((model, chosen.model), INPUTS, context.seed):
                raise VerificationError(
                    "the file with look-up tables answers otherwise in TensorFlow Lite Micro than "
                    "the one without: tflite-micro encoded it wrongly"
                )
        edge = front(found)
        shown = [table for group in chosen.groups for table in group]
        context.facts.update(
            flash_bytes=chosen.flash_bytes,
            arena_bytes=chosen.arena_bytes,
            before={"flash_bytes": len(model), "arena_bytes": found[0].arena_bytes},
            tables=[
                {"shape": list(t.tensor.shape), "dtype": t.tensor.dtype, "bits": t.bits}
                for t in shown
            ],
            front=[[c.flash_bytes, c.arena_bytes, sum(map(len, c.groups))] for c in edge],
        )
        if not shown:
            context.notes.append("no tensor has so few values that a table pays: nothing changed")
        else:
            context.notes.append(
                f"{len(shown)} tensors are looked up: {len(model):,} bytes of flash become "
                f"{chosen.flash_bytes:,}, {found[0].arena_bytes:,} of arena "
                f"{chosen.arena_bytes:,}; on {INPUTS} random inputs TensorFlow Lite Micro's "
                "outputs are the same to the last bit"
            )
        if chosen.miss(context.room):
            context.facts["unmet"] = unmet(context.room, chosen.flash_bytes, chosen.arena_bytes)
            told = "; ".join(f"{c.flash_bytes:,} and {c.arena_bytes:,}" for c in edge)
            context.notes.append(f"flash and arena can be, in bytes: {told}")
        return chosen.model


def unmet(room: Room, flash: int, arena: int) -> str:
    """Return that no choice of tensors fits the room, with the nearest."""
    limits = ((room.storage_bytes, "flash"), (room.memory_bytes, "memory"))
    asked = " and ".join(f"{most:,} bytes of {what}" for most, what in limits if most is not None)
    return (
        f"lut: no choice of tensors fits {asked}; the nearest takes {flash:,} of flash and "
        f"{arena:,} of arena"
    )
