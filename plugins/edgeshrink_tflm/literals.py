"""Values and names as C spells them; names come from strangers' files, and are never trusted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeshrink.api import ModelError

if TYPE_CHECKING:
    import numpy as np

TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "bool": "uint8_t",
}
LONGEST_NAME = 48
WIDTH = 96


def identifier(stem: str) -> str:
    """Return a name for C that a file's stem gives, in lower case.

    Example:
        >>> identifier("Lenet-5 (v2)"), identifier("8bit"), identifier("…")
        ('lenet_5_v2', 'm_8bit', 'm')
    """
    words = re.sub(r"[^a-z0-9]+", "_", stem.lower())[:LONGEST_NAME].strip("_")
    return words if words[:1].isalpha() else f"m_{words}".rstrip("_")


def remark(text: str) -> str:
    """Return a text for a comment: what could end one, or go on in the next line, is gone.

    Example:
        >>> remark("serving_default:0 */ int x;")
        'serving_default:0 __ int x_'
    """
    return re.sub(r"[^A-Za-z0-9_.: -]", "_", text)[:120]


def array(values: np.ndarray, dtype: str) -> str:
    """Return values as the inside of an array, in lines.

    Raises:
        ModelError: one is not finite.
    """
    import numpy as np

    flat = np.ravel(values)
    if dtype == "float32":
        if not np.isfinite(flat).all():
            raise ModelError("the model answers the test input with numbers that are not finite")
        spelled = [f"{real(float(one))}" for one in flat]
    else:
        spelled = [str(int(one)) for one in flat]
    lines, line = [], ""
    for one in spelled:
        if len(line) + len(one) + 2 > WIDTH:
            lines.append(line)
            line = ""
        line += f" {one}," if line else f"    {one},"
    return "\n".join([*lines, line])


def real(value: float) -> str:
    """Return a 32-bit float so that it is read as the same.

    Example:
        >>> real(1.0), real(0.1), real(1e-9)
        ('1.0f', '0.1f', '1e-09f')
    """
    import numpy as np

    text = np.format_float_positional(np.float32(value), unique=True, trim="0")
    short = str(np.float32(value))
    return f"{short if 'e' in short else text}f"
