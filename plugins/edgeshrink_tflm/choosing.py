"""Which tensors are looked up, so that flash and arena both fit.

A tensor that is looked up saves flash, and takes its decoded size of arena while the operator that
reads it runs. So flash adds up over tensors, and the arena is that of the operator that needs most:
whoever accepts the arena of one tensor may as well look up all that need no more. The choices that
are worth a look are the beginnings of the list of tensors, in the order of the arena that each
needs alone: one more than there are tensors, instead of two to that power. Three things are left
out by that: the some hundred bytes of arena that each operator keeps for itself, tensors that one
operator reads together, and the gaps of the memory planner. So every choice is measured, not
reckoned; and where none of them fits, each is measured again without any one of its tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeshrink.api import Room
from edgeshrink_tflm.process import Micro
from edgeshrink_tflm.tables import Group

Strip = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Choice:
    """Tensors that are looked up, and what comes of it; measured.

    Attributes:
        groups: the tensors.
        model: the bytes of the .tflite.
        arena_bytes: that TensorFlow Lite Micro takes for it.
    """

    groups: tuple[Group, ...]
    model: bytes
    arena_bytes: int

    @property
    def flash_bytes(self) -> int:
        """Of the file."""
        return len(self.model)

    def miss(self, room: Room) -> float:
        """Return by how much it is over the room, as a share of it; 0 where it fits."""
        limits = (
            (self.flash_bytes, room.storage_bytes),
            (self.arena_bytes, room.memory_bytes),
        )
        return max(0.0, *(used / limit - 1 for used, limit in limits if limit is not None), 0.0)


class Choices:
    """Measures choices of tensors of one model.

    Args:
        model: the bytes of the .tflite.
        micro: encodes and measures.
        strip: makes an encoded file as small as the model was made.
    """

    def __init__(self, model: bytes, micro: Micro, strip: Strip) -> None:
        self._model, self._micro, self._strip = model, micro, strip

    def explored(self, groups: Sequence[Group], room: Room) -> list[Choice]:
        """Return the choices that were measured, the model as it is first.

        Args:
            groups: what may be looked up.
            room: where a choice fits it, fewer are measured.
        """
        plain = self.measured([()])
        alone = self.measured([(group,) for group in groups])
        smaller = [one for one in alone if one.flash_bytes < len(self._model)]
        smaller.sort(key=lambda one: (one.arena_bytes, one.flash_bytes))
        order = [one.groups[0] for one in smaller]
        found = [*plain, *smaller]
        found += self.measured([tuple(order[:count]) for count in range(2, len(order) + 1)])
        if order and not any(one.miss(room) == 0 for one in found):
            found += self.measured(
                [
                    (*order[:left], *order[left + 1 : count])
                    for count in range(3, len(order) + 1)
                    for left in range(count - 1)
                ]
            )
        return found

    def measured(self, choices: Sequence[tuple[Group, ...]]) -> list[Choice]:
        """Return choices with what they take, without those that do not run."""
        some = [groups for groups in choices if groups]
        asked = [[table.asked() for group in groups for table in group] for groups in some]
        models = self._micro.encoded(self._model, asked) if asked else []
        made = [(groups, self._model) for groups in choices if not groups]
        made += [
            (groups, self._strip(model))
            for groups, model in zip(some, models, strict=True)
            if model is not None
        ]
        arenas = self._micro.arenas([model for _, model in made]) if made else []
        pairs = zip(made, arenas, strict=True)
        return [Choice(groups, model, arena) for (groups, model), arena in pairs if arena]


def front(choices: Sequence[Choice]) -> list[Choice]:
    """Return the choices that no other beats in flash and arena, the smallest arena first."""
    found: list[Choice] = []
    for one in sorted(choices, key=lambda one: (one.arena_bytes, one.flash_bytes)):
        if not found or one.flash_bytes < found[-1].flash_bytes:
            found.append(one)
    return found


def best(choices: Sequence[Choice], room: Room) -> Choice:
    """Return the smallest file that fits the room; where none does, the one that misses least."""
    return min(choices, key=lambda one: (one.miss(room), one.flash_bytes, one.arena_bytes))
