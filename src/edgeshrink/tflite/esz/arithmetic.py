"""An adaptive arithmetic coder: one model of what comes next, for reading and for writing.

`Coder` holds what has been learned. Every method takes the value to be written and returns the
value that stands in the file, so that the same code writes and reads; `Decoder` ignores what it
is given. All arithmetic is on integers: every machine computes the same probabilities.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

# Probabilities of a one are of 65,536; none is ever 0 or 1.
ONE, LEAST = 1 << 16, 24
# The range is kept above 2**32, with 16 bits more below 2**48.
TOP, BOTTOM = 1 << 48, 1 << 32
# A probability moves by 1/(n + 1.6) of the way at its n-th use, at the end by 1/MEMORY.
MEMORY = 160
RATES = [int(ONE / (n + 1.6)) for n in range(MEMORY)]
# Of a number's bits below the first, so many are modelled; the others are as good as random.
MODELLED = 3
# So many bits that may be anything are coded at once.
STEP = 16
LONGEST = 64


class Broken(ValueError):
    """The bytes are no packed file, or a damaged one."""


class Coder:
    """What is known of the bits so far.

    Args:
        budget: how many values may be coded; a damaged file would go on for ever.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._known: Dict[Any, List[int]] = {}

    def code(self, probability: int, bit: int) -> int:
        """Code one bit that is 1 with this probability (of 65,536)."""
        raise NotImplementedError

    def even(self, count: int, value: int) -> int:
        """Code up to STEP bits that may be anything."""
        raise NotImplementedError

    def run(self, probabilities: Sequence[int], bits: Sequence[int]) -> List[int]:
        """Code a bit for each of the probabilities."""
        raise NotImplementedError

    def learn_from(self, other: Coder) -> None:
        """Go on with what another coder has learned."""
        self._known = other._known

    def spend(self, count: int) -> None:
        """Count values against the budget.

        Raises:
            Broken: there are more than such a file can hold.
        """
        self.budget -= count
        if count < 0 or self.budget < 0:
            raise Broken("it claims to hold more than it has room for")

    def flag(self, context: Any, bit: int = 0) -> int:
        """Code a bit by what bits in this context were before."""
        state = self._known.get(context)
        if state is None:
            state = self._known[context] = [ONE // 2, 0]
        probability, uses = state
        bit = self.code(probability, bit)
        rate = RATES[uses]
        if uses < MEMORY - 1:
            state[1] = uses + 1
        if bit:
            state[0] = min(probability + ((ONE - probability) * rate >> 16), ONE - LEAST)
        else:
            state[0] = max(probability - (probability * rate >> 16), LEAST)
        return bit

    def literal(self, count: int, value: int = 0) -> int:
        """Code `count` bits that nothing is known of."""
        found = 0
        while count:
            step = min(count, STEP)
            count -= step
            found = found << step | self.even(step, value >> count & ((1 << step) - 1))
        return found

    def number(self, context: Any, value: int = 0) -> int:
        """Code a number from 0 by its length in bits, then its bits (Elias's gamma code)."""
        self.spend(1)
        value += 1
        length = 0
        while self.flag((context, length), value.bit_length() - 1 > length):
            length += 1
            if length > LONGEST:
                raise Broken("a number is too long")
        found, rest = 1, max(0, length - MODELLED)
        for place in range(length - 1, rest - 1, -1):
            found = found << 1 | self.flag((context, length, found), value >> place & 1)
        return (found << rest | self.literal(rest, value & ((1 << rest) - 1))) - 1

    def signed(self, context: Any, value: int = 0) -> int:
        """Code a whole number: how far it is from zero, then its sign."""
        found = self.number(context, abs(value))
        return -found if found and self.flag((context, "sign"), value < 0) else found

    def symbol(self, context: Any, depth: int, value: int = 0) -> int:
        """Code a number below 2**depth, every bit in the context of those before."""
        found = 1
        for place in range(depth - 1, -1, -1):
            found = found << 1 | self.flag((context, found), value >> place & 1)
        return found - (1 << depth)


class Decoder(Coder):
    """Reads what an encoder wrote.

    Args:
        data: the coded bytes.
        budget: as of `Coder`.
    """

    def __init__(self, data: bytes, budget: int) -> None:
        super().__init__(budget)
        self._data, self._place = data, 6
        self._range = TOP
        self._code = int.from_bytes(data[:6].ljust(6, b"\0"), "big")

    def _next(self) -> int:
        """Return the next 16 bits; the writer leaves zeros at the end out."""
        place = self._place
        self._place += 2
        if place > len(self._data) + 6:
            raise Broken("it ends too early")
        return int.from_bytes(self._data[place : place + 2].ljust(2, b"\0"), "big")

    def code(self, probability: int, bit: int) -> int:
        """Read one bit."""
        bound = (self._range >> 16) * probability
        if self._code < bound:
            self._range, bit = bound, 1
        else:
            self._range -= bound
            self._code -= bound
            bit = 0
        if self._range < BOTTOM:
            self._range <<= 16
            self._code = self._code << 16 | self._next()
        return bit

    def even(self, count: int, value: int) -> int:
        """Read up to STEP bits."""
        self._range >>= count
        value = min(self._code // self._range, (1 << count) - 1)
        self._code -= value * self._range
        if self._range < BOTTOM:
            self._range <<= 16
            self._code = self._code << 16 | self._next()
        return value

    def run(self, probabilities: Sequence[int], bits: Sequence[int]) -> List[int]:
        """Read a bit for each of the probabilities."""
        width, code = self._range, self._code
        found: List[int] = []
        add = found.append
        for probability in probabilities:
            bound = (width >> 16) * probability
            if code < bound:
                width = bound
                add(1)
            else:
                width -= bound
                code -= bound
                add(0)
            if width < BOTTOM:
                width <<= 16
                code = code << 16 | self._next()
        self._range, self._code = width, code
        return found
