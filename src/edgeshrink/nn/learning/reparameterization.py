"""Training through functions of the weights: a model computes with the values, weights learn.

Fake quantization, learned steps, ternary and binary weights and shared values all compute with a
function of the weights that they learn. Here the model computes with the function's values, while
gradients reach the weights ("masters") through it, straight through where it rounds (Bengio et
al., 2013, "Estimating or propagating gradients through stochastic neurons").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from edgeshrink.errors import ModelError


class Forward(keras.layers.Layer):
    """A differentiable function of one weight; what it learns itself are its own weights.

    A subclass says in `call(master)` what the model computes with in place of the weight
    (`master`): a tensor of the same shape. Arguments of the constructor are those of
    `keras.layers.Layer`.
    """


def straight_through(master: Any, value: Any) -> Any:
    """Return `value`, with the gradient of `master`, as if nothing had been rounded.

    Args:
        master: what gradients reach.
        value: made of it, of the same shape.
    """
    return master + ops.stop_gradient(value - master)


class Reparameterized(keras.Model):
    """A functional model seen through functions of its weights.

    It trains and predicts like the model itself, whose variables it shares.

    Args:
        model: a functional model.
        forwards: the functions of a variable, applied in order, by the variable's path.

    Raises:
        ModelError: a path is that of two variables.
        KeyError: a path is that of no trainable variable.
    """

    def __init__(
        self, model: keras.Model, forwards: Mapping[str, Sequence[Forward]], **kwargs: Any
    ) -> None:
        super().__init__(name=model.name, **kwargs)
        self.model = model
        by_path: dict[str, keras.Variable] = {}
        for variable in model.trainable_variables:
            if variable.path in by_path and variable.path in forwards:
                raise ModelError(
                    f"two weights of the model are called {variable.path}",
                    hint="give the layers of nested models names of their own, and save it again",
                )
            by_path[variable.path] = variable
        self._masters = [by_path[path] for path in forwards]
        self._chains = [list(chain) for chain in forwards.values()]
        for master, chain in zip(self._masters, self._chains, strict=True):
            for forward in chain:
                if not forward.built:
                    forward.build(master.shape)
        self.built = True

    @property
    def input(self) -> Any:
        """The symbolic inputs of the model, in its structure."""
        return self.model.input

    @property
    def inputs(self) -> Any:
        """The symbolic inputs of the model, in a list."""
        return self.model.inputs

    @property
    def outputs(self) -> Any:
        """The symbolic outputs of the model, in a list."""
        return self.model.outputs

    @property
    def output_names(self) -> list[str]:
        """The names of the model's outputs, in order."""
        graph = getattr(self.model, "_functional", self.model)  # a Sequential has no names
        return list(graph.output_names)

    @property
    def _inputs_struct(self) -> Any:
        return self.model._inputs_struct

    def _values(self) -> list[Any]:
        found = []
        for master, chain in zip(self._masters, self._chains, strict=True):
            value = ops.convert_to_tensor(master)
            for forward in chain:
                value = forward(value)
            found.append(value)
        return found

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the model's outputs with each weight replaced by its functions' value.

        Args:
            inputs: a batch, as the model takes it.
            training: as Keras gives it; moving statistics are kept in the model.
        """
        mapping = list(zip(self._masters, self._values(), strict=True))
        with keras.StatelessScope(mapping) as scope:
            outputs = self.model(inputs, training=training)
        for variable in self.model.non_trainable_variables:  # moving statistics, random states
            moved = scope.get_current_value(variable)
            if moved is not None:
                variable.assign(moved)
        return outputs

    def settle(self) -> keras.Model:
        """Write the functions' values into the weights, and return the model."""
        for master, value in zip(self._masters, self._values(), strict=True):
            master.assign(value)
        return self.model
