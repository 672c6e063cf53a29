"""How a model is written as source, to be compiled into a program for a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar


class Exporter(ABC):
    """A way to write a .tflite as source.

    Attributes:
        name: as in `--export`.
        requires: distributions that it needs beyond the core.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def names(self, stem: str) -> tuple[str, ...]:
        """Return the names of the files that it writes.

        Args:
            stem: the model file's name without its suffix, whatever is in it.
        """

    @abstractmethod
    def render(self, model: bytes, stem: str) -> Mapping[str, str]:
        """Return the text of each file by its name.

        Args:
            model: the bytes of a .tflite.
            stem: as `names` takes it.

        Raises:
            ModelError: the file is damaged, or cannot be written so.
            CommandFailed: it does not run where it is to.
        """
