"""Find scales that are products of others, as those of biases are."""

from __future__ import annotations

from edgeshrink.tflite.esz.objects import Object, Role
from edgeshrink.tflite.esz.structure import Product, product


def products(objects: list[Object]) -> dict[int, Product]:
    """Return for vectors of scales the two vectors whose product they are, by their numbers.

    A bias has the scale of the input times that of the weights. Which tensors belong to one
    operator does not matter: a product that is right to the last bit will do.
    """
    vectors = [one.data for one in objects if one.template.role is Role.FLOATS]
    single = [k for k, data in enumerate(vectors) if len(data) == 4]
    known: dict[bytes, Product] = {}
    for left in single:
        for right in range(len(vectors)):
            if len(vectors[right]) > 4 or left < right:
                known.setdefault(product(vectors[left], vectors[right]), (left, right))
    chosen: dict[int, Product] = {}
    factors: set[int] = set()
    for number, data in enumerate(vectors):
        pair = known.get(data)
        if pair and number not in pair and number not in factors and not chosen.keys() & set(pair):
            chosen[number] = pair
            factors |= set(pair)
    return chosen
