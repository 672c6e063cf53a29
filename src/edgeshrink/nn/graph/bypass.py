"""Models without a section: a copy that lacks it, or one with switches to try many sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from edgeshrink.nn.graph.rewrite import Call, copied, rewritten
from edgeshrink.nn.graph.section import Section


def without(model: keras.Model, section: Section) -> keras.Model:
    """Return a copy of a model without one of its sections.

    Args:
        model: functional, without nested models.
        section: one of `sections(model)`.

    Raises:
        ModelError: the model is a subclass of `keras.Model` without a graph of layers.
    """
    places = dict(section.passed)

    def change(op: Any, name: str) -> Call | None:
        if op.name not in places:
            return None
        return lambda *args, **kwargs: _tensors(args, kwargs)[places[op.name]]

    return rewritten(model, change)


class Bypass(keras.layers.Layer):
    """Gives its first argument, or while it is open the second."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.open = self.add_weight(shape=(), initializer="zeros", trainable=False, name="open")

    def call(self, whole: Any, short: Any) -> Any:
        """Return one of two tensors of one shape."""
        return keras.ops.where(self.open > 0, short, whole)


class Switched:
    """A copy of a model in which each section can be left out for a while.

    It answers as the models that `without` makes, but is written and compiled once for all of
    them.

    Args:
        model: functional, without nested models.
        sections: those that may be left out, of `sections(model)`.

    Attributes:
        model: the copy.

    Raises:
        ModelError: the model is a subclass of `keras.Model` without a graph of layers.
    """

    def __init__(self, model: keras.Model, sections: Sequence[Section]) -> None:
        self._bypasses = {section: Bypass() for section in sections}
        owner = {name: section for section in sections for name, _ in section.passed}
        entered: dict[Section, Any] = {}

        def change(op: Any, name: str) -> Call | None:
            section = owner.get(op.name)
            if section is None:
                return None
            whole = copied(op, name)
            (first, place), last = section.passed[0], section.passed[-1][0]

            def call(*args: Any, **kwargs: Any) -> Any:
                if op.name == first:
                    entered[section] = _tensors(args, kwargs)[place]
                made = whole(*args, **kwargs)
                return self._bypasses[section](made, entered[section]) if op.name == last else made

            return call

        self.model = rewritten(model, change)

    @contextmanager
    def left_out(self, section: Section) -> Iterator[keras.Model]:
        """Give the copy, which answers as if it had no such section within the block.

        Args:
            section: one of those that the copy was made with.
        """
        self._bypasses[section].open.assign(1)
        try:
            yield self.model
        finally:
            self._bypasses[section].open.assign(0)


def _tensors(args: Any, kwargs: Any) -> list[Any]:
    return [t for t in keras.tree.flatten((args, kwargs)) if isinstance(t, keras.KerasTensor)]
