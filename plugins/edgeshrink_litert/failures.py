"""Say in one sentence why a runtime refused a model."""

from __future__ import annotations

import re
import signal

from edgeshrink.tflite import too_steep

_PATTERNS = (
    (
        r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'",
        "this runtime has no {0} of version {1}: the file was made for a newer one",
    ),
    (
        r"(?:unresolved custom op: |Select TensorFlow op\(s\).*?)\b(Flex\w+)",
        "the model needs {0}, an operator of TensorFlow itself, which LiteRT does not have",
    ),
    (
        r"Select TensorFlow op\(s\)",
        "the model needs operators of TensorFlow itself, which LiteRT does not have",
    ),
    (
        r"unresolved custom op: TFLM_DECODE",
        "constants of the model lie behind TFLM_DECODE, as look-up tables, which TensorFlow Lite "
        "Micro alone runs",
    ),
    (
        r"unresolved custom op: (\w+)",
        "the model needs the custom operator {0}, whose kernel is not there",
    ),
    (
        r"failed to delegate (\w+) node #(\d+)",
        "XNNPACK refuses operator {1} ({0}), as it does for sparse or half-quantized weights",
    ),
    (
        r"^(?:\S+/)?(\S+:\d+ .*?)\.?\s*Node number (\d+) \((\w+)\) failed to prepare",
        "operator {1} ({2}) does not fit its tensors: {0}",
    ),
    (
        r"Node number (\d+) \((\w+)\) failed to (prepare|invoke)",
        "operator {0} ({1}) failed to {2}",
    ),
    (
        r"identifier|valid [Ff]latbuffer|Could not open|Mmap of|unable to (?:create|get) model",
        "the file is no .tflite model that this runtime can read",
    ),
    (r"^no runtime: (tried .*)", "no runtime works there: {0}"),
)


def explain(error: str) -> str:
    """Return the runtime's or the runner's words as one sentence.

    Example:
        >>> explain("Didn't find op for builtin opcode 'GELU' version '2'. An older version")
        'this runtime has no GELU of version 2: the file was made for a newer one'
    """
    killed = re.match(r"killed by signal (\d+)", error)
    if killed:
        return signal_sentence(int(killed[1]))
    for pattern, sentence in _PATTERNS:
        found = re.search(pattern, error)
        if found:
            return sentence.format(*found.groups())
    return error[:300] or "the runtime ended without a word"


def with_cause(error: str, data: bytes) -> str:
    """Return an error of a run with XNNPACK, with the cause where the file shows one.

    Args:
        error: a sentence.
        data: the bytes of the .tflite.
    """
    if not too_steep(data):
        return error
    return (
        f"{error}: XNNPACK has no kernel for a layer whose sums are scaled by 256 or more, as of "
        "outputs that are next to nothing; bench --kernels builtin runs it without XNNPACK, and a "
        "file that is converted again has wider outputs there"
    )


def signal_sentence(number: int) -> str:
    """Return what it means that a signal ended the runner.

    Example:
        >>> signal_sentence(9)
        'the runner was killed by SIGKILL, as happens when memory runs out'
    """
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    why = {
        "SIGKILL": ", as happens when memory runs out",
        "SIGSEGV": ": the runtime crashed on this model",
        "SIGABRT": ": the runtime gave up on this model",
        "SIGILL": ": the runtime uses instructions that this processor does not have",
    }
    return f"the runner was killed by {name}{why.get(name, '')}"
