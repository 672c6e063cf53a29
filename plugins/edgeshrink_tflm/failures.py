"""Say in one sentence why TensorFlow Lite Micro refused a model."""

from __future__ import annotations

import re
import signal

_PATTERNS = (
    (
        r"Didn't find op for builtin opcode '(\w+)'",
        "TensorFlow Lite Micro has no kernel for {0}",
    ),
    (
        r"Failed to get registration from op code CUSTOM",
        "TensorFlow Lite Micro has no kernel for the custom operator",
    ),
    (
        r"Input type: (\w+) with filter type: (\w+) not supported\.?\s*"
        r"Node (\w+) \(number (\d+)\)",
        "TensorFlow Lite Micro has no kernel for operator {3} ({2}) with inputs of {0} and "
        "weights of {1}",
    ),
    (
        r"(?:\S*/)?(\S+:\d+ [^\n]*?)\.?\s*Node (\w+) \(number (\d+)\) failed to (prepare|invoke)",
        "operator {2} ({1}) does not suit TensorFlow Lite Micro: {0}",
    ),
    (
        r"Node (\w+) \(number (\d+)\) failed to (prepare|invoke)",
        "operator {1} ({0}) failed to {2}",
    ),
    (
        r"Failed to allocate|Too many buffers",
        "256 MB of arena are too few for it",
    ),
)
_SIGNALS = {
    "SIGKILL": ", as happens when memory runs out",
    "SIGSEGV": ": the interpreter crashed on this model",
    "SIGABRT": ": the interpreter gave up on this model",
}


def explain(words: str) -> str:
    """Return what the interpreter said as one sentence.

    Example:
        >>> explain("Didn't find op for builtin opcode 'WHERE'")
        'TensorFlow Lite Micro has no kernel for WHERE'
    """
    for pattern, sentence in _PATTERNS:
        found = re.search(pattern, words)
        if found:
            return sentence.format(*found.groups())
    return " ".join(words.split())[:300] or "the interpreter ended without a word"


def ended(returncode: int, stderr: str) -> str:
    """Return why the interpreter's process gave no answer.

    Example:
        >>> ended(-11, "")
        'it was killed by SIGSEGV: the interpreter crashed on this model'
    """
    if returncode >= 0:
        last = (stderr.strip().splitlines() or ["it gave no answer"])[-1]
        return f"{last} (exit code {returncode})"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"it was killed by {name}{_SIGNALS.get(name, '')}"
