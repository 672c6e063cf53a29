"""How the objects of a flatbuffer are coded: each in the context of what came before."""

from __future__ import annotations

import struct
from typing import Any, Dict, List, Optional, Tuple

from .arithmetic import Broken, Coder
from .objects import Object, Role, Template, padding

# A value that was seen lately is told by how many others were seen since.
RECENT = 24
MOST_SLOTS, MOST_WIDTH = 64, 1 << 14
SAME, NEXT, OTHER = 0, 1, 2
NONE = Template(Role.TABLE, 0)

Product = Tuple[int, int]


class Structure:
    """Codes the objects of a file; after one file it knows what the next may look like.

    Args:
        coder: reads or writes.
    """

    def __init__(self, coder: Coder) -> None:
        self.coder = coder
        self.templates: List[Template] = []
        self._recent: Dict[Any, List[int]] = {}
        self._last: Dict[Any, int] = {}
        self._files = 0

    def objects(self, given: Optional[List[Object]] = None) -> List[Object]:
        """Code the objects of one file, but for the content of float and byte vectors."""
        coder = self.coder
        self._files += 1
        count = coder.number("objects", len(given or ()))
        found: List[Object] = []
        loose: List[int] = []
        before, used = (NONE, NONE), 0
        tables = set()
        for index in range(count):
            coder.spend(1)
            one = given[index] if given else None
            template = self._template(before, one.template if one else NONE)
            made = self._object(template, one, found, loose)
            size = made.size()
            made.pad = coder.number("pad", one.pad if one else 0)
            used += padding(template, size, used) + made.pad + size
            if template.role == Role.TABLE and template.vtable() not in tables:
                tables.add(template.vtable())
                used += len(template.vtable())
            found.append(made)
            loose.append(index)
            before = (before[1], template)
        return found

    def _template(self, before: Tuple[Template, Template], given: Template) -> Template:
        """Code the sort of the next object by the sorts of the last two."""
        coder, known = self.coder, self.templates
        ranked = self._recent.setdefault(("template", before), [])
        later = self._recent.setdefault(("template", before[1]), [])
        for name, ranks in ((before, ranked), (before[1], later)):
            place = known.index(given) if given in known else -1
            rank = ranks.index(place) if place in ranks else len(ranks)
            if not ranks:
                continue
            rank = self._unary(("sort", name), len(ranks), rank)
            if rank < len(ranks):
                place = ranks[rank]
                break
        else:
            place = coder.number("known sort", known.index(given) if given in known else len(known))
            if place > len(known):
                raise Broken("an object of no known sort")
            if place == len(known):
                known.append(self._new_template(given))
        for ranks in (ranked, later):
            if place in ranks:
                ranks.remove(place)
            ranks.insert(0, place)
            del ranks[RECENT:]
        return known[place]

    def _unary(self, context: Any, most: int, value: int) -> int:
        """Code a number up to `most`, every step in a context of its own."""
        for step in range(most):
            if self.coder.flag((context, step), value == step):
                return step
        return most

    def _new_template(self, given: Template) -> Template:
        coder = self.coder
        role = coder.symbol("role", 3, given.role)
        if role > max(Role):
            raise Broken("an object of no known sort")
        if role != Role.TABLE:
            width = 1 << coder.symbol("width", 2, given.width.bit_length() - 1)
            align = 1 << coder.symbol("align", 3, given.align.bit_length() - 1)
            return Template(Role(role), width, align)
        size = coder.number("size", given.width)
        count = coder.number("slots", len(given.slots))
        if size > MOST_WIDTH or count > MOST_SLOTS:
            raise Broken("a table is too large")
        slots, offsets = [], []
        for slot in range(count):
            place = coder.number("place", given.slots[slot] if given.slots else 0)
            if place and not 4 <= place < size:
                raise Broken("a field lies outside of its table")
            slots.append(place)
            if place and coder.flag("offset", place in given.offsets):
                if place + 4 > size:
                    raise Broken("a field lies outside of its table")
                offsets.append(place)
        places = [place for place in slots if place]
        if len(set(places)) != len(places):
            raise Broken("two fields lie in one place")
        return Template(Role.TABLE, size, 4, tuple(slots), tuple(sorted(offsets)))

    def _object(
        self, template: Template, given: Optional[Object], found: List[Object], loose: List[int]
    ) -> Object:
        coder, role = self.coder, template.role
        given = given or Object(template)
        made = Object(template)
        if role == Role.TABLE:
            # offsets that were made last are taken first: so builders make them
            targets = {}
            for place in sorted(template.offsets, key=template.slots.index, reverse=True):
                wanted = (
                    given.targets[sorted(template.offsets).index(place)] if given.targets else 0
                )
                targets[place] = self._target((template, place), wanted, 0, found, loose)
            made.targets = [targets[place] for place in sorted(targets)]
            for number, (place, width) in enumerate(template.fields()):
                value = given.numbers[number] if given.numbers else 0
                made.numbers.append(self._field((template, place), width, value))
            return made
        context = (role, template.width)
        if role == Role.OFFSETS:
            count = coder.number(("count", context), len(given.targets))
            coder.spend(count)
            for k in range(count):
                wanted = given.targets[k] if given.targets else 0
                made.targets.append(
                    self._target((template, 0), wanted, count - 1 - k, found, loose)
                )
        elif role in (Role.REPEATED, Role.COUNTED):
            count = coder.number(("count", context), len(given.numbers))
            coder.spend(count)
            for k in range(count):
                value = given.numbers[k] if given.numbers else 0
                known = (template, k if count < RECENT else RECENT)
                if role == Role.REPEATED:
                    value = self._repeated((template, min(k, 1), count > 4), value)
                else:
                    value = self._counted((known, count), value)
                made.numbers.append(value)
        elif role == Role.TEXT:
            made.data = self._string(given.data)
            made.count = len(made.data)
        else:
            made.count = coder.number(("count", context), given.count)
        return made

    def _target(
        self, context: Any, wanted: int, expected: int, found: List[Object], loose: List[int]
    ) -> int:
        """Code which object is pointed to: one that nothing points to yet, or another's."""
        coder = self.coder
        seen = self._recent.setdefault(("target", context, self._files), [])
        if not coder.flag(("shared", context), wanted not in loose):
            rank = coder.signed(
                ("loose", context),
                len(loose) - 1 - loose.index(wanted) - expected if wanted in loose else 0,
            )
            place = len(loose) - 1 - rank - expected
            if not 0 <= place < len(loose):
                raise Broken("an offset points nowhere")
            target = loose.pop(place)
        else:
            rank = seen.index(wanted) if wanted in seen else len(seen)
            rank = coder.number(("seen", context), rank)
            if rank < len(seen):
                target = seen[rank]
            else:
                target = len(found) - 1 - coder.number("target", len(found) - 1 - wanted)
                if not 0 <= target < len(found):
                    raise Broken("an offset points nowhere")
        if target in seen:
            seen.remove(target)
        seen.insert(0, target)
        del seen[RECENT:]
        return target

    def _field(self, context: Any, width: int, value: int) -> int:
        """Code a number of a table by the one before in the same place."""
        last = self._last.get(context, 0)
        wrap = 1 << 8 * width
        mode = SAME if value == last else NEXT if value == (last + 1) % wrap else OTHER
        past = self._last.get((context, "mode"), OTHER)
        mode = self._unary(("mode", context, past), OTHER, mode)
        self._last[context, "mode"] = mode
        if mode == SAME:
            value = last
        elif mode == NEXT:
            value = (last + 1) % wrap
        else:
            value = self._repeated((context, "value"), value)
            if not 0 <= value < wrap:
                raise Broken("a number does not fit its field")
        self._last[context] = value
        return value

    def _repeated(self, context: Any, value: int) -> int:
        """Code a number as one that was there lately, or anew."""
        seen = self._recent.setdefault(("value", context[0]), [])
        rank = self._unary(context, len(seen), seen.index(value) if value in seen else len(seen))
        if rank < len(seen):
            value = seen.pop(rank)
        else:
            value = self.coder.signed((context[0], "new"), value)
        seen.insert(0, value)
        del seen[RECENT:]
        return value

    def _counted(self, context: Any, value: int) -> int:
        """Code a number by how much it differs from the one before in its place."""
        last = self._last.get(context, 0)
        value = last + self.coder.signed(("difference", context), value - last)
        self._last[context] = value
        return value

    def _string(self, given: bytes) -> bytes:
        """Code text, each letter by the three before it."""
        coder = self.coder
        count = coder.number("letters", len(given))
        coder.spend(count)
        text = b"\0\0\0"
        for place in range(count):
            text += bytes((coder.symbol(text[-3:], 8, given[place] if given else 0),))
        return text[3:]


def floats(
    coder: Coder,
    counts: List[int],
    given: Optional[List[bytes]] = None,
    products: Optional[Dict[int, Product]] = None,
) -> List[bytes]:
    """Code vectors of 32-bit floats; some are products of others, to the last bit.

    Args:
        coder: reads or writes.
        counts: elements of each vector.
        given: the vectors.
        products: for a vector's index the indices of its factors, which are no products.
    """
    chosen = dict(products or {})
    found: Dict[int, bytes] = {}
    derived = []
    for index, count in enumerate(counts):
        coder.spend(count)
        if coder.flag("product", index in chosen):
            derived.append(index)
            continue
        words = struct.unpack("<%dI" % count, given[index]) if given else (0,) * count
        found[index] = struct.pack("<%dI" % count, *(_float(coder, word) for word in words))
    free = sorted(found)
    for index in derived:
        pair = [free.index(factor) for factor in chosen[index]] if given else [0, 0]
        factors = [coder.number(("factor", k), pair[k]) for k in (0, 1)]
        if max(factors) >= len(free):
            raise Broken("a scale is the product of none")
        found[index] = product(*(found[free[f]] for f in factors))
        if len(found[index]) != 4 * counts[index]:
            raise Broken("a scale is the product of others in number")
    return [found[index] for index in range(len(counts))]


def _float(coder: Coder, word: int) -> int:
    sign = coder.flag("float sign", word >> 31)
    exponent = coder.symbol("exponent", 8, word >> 23 & 255)
    return sign << 31 | exponent << 23 | coder.literal(23, word & 0x7FFFFF)


def product(left: bytes, right: bytes) -> bytes:
    """Return the elementwise product of two vectors of 32-bit floats; one may have one element."""
    import numpy as np

    with np.errstate(all="ignore"):
        factors = (np.frombuffer(left, "<f4"), np.frombuffer(right, "<f4"))
        if 1 not in (len(factors[0]), len(factors[1])) and len(factors[0]) != len(factors[1]):
            raise Broken("a scale is the product of others in number")
        return bytes((factors[0] * factors[1]).astype("<f4").tobytes())
