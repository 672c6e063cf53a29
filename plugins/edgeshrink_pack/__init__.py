"""Packing: a .tflite coded near its entropy, as a file."""

from __future__ import annotations

from edgeshrink.api import Context, Kind, Method, Need, Phase, hookimpl


class Pack(Method):
    """Code the .tflite near its entropy, as an .esz file that unpacks to the same bytes."""

    name = "pack"
    title = "Packing"
    phase = Phase.PACK
    accepts = (Kind.TFLITE,)
    produces = Kind.PACKED
    data = Need.NONE
    searched = True
    keeps = frozenset({"outputs", "sparsity", "clusters", "quantization"})

    def apply(self, model: bytes, context: Context) -> bytes:
        """Return the packed file; facts tell how it was coded, and what zlib and xz make of it."""
        from edgeshrink.tflite import pack

        packed = pack(model, context.progress)
        size = len(packed.data)
        context.facts.update(
            coding=packed.how, zlib_bytes=packed.zlib, xz_bytes=packed.xz, unpacked_bytes=len(model)
        )
        context.notes.append(
            f"packed into {size:,} bytes, where zlib -9 takes {packed.zlib:,} and xz -9e "
            f"{packed.xz:,}; unpacked it is the same to the last bit"
        )
        return packed.data


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Pack]
