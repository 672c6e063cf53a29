"""The writing side of the arithmetic coder."""

from __future__ import annotations

from collections.abc import Sequence

from edgeshrink.tflite.esz.arithmetic import BOTTOM, TOP, Coder

UNBOUNDED = 1 << 62


class Encoder(Coder):
    """Writes what a decoder reads."""

    def __init__(self) -> None:
        super().__init__(UNBOUNDED)
        self._low, self._range = 0, TOP
        self._words: list[int] = []

    def code(self, probability: int, bit: int) -> int:
        """Write one bit."""
        bound = (self._range >> 16) * probability
        if bit:
            self._range = bound
        else:
            self._low += bound
            self._range -= bound
        if self._range < BOTTOM:
            self._shift()
        return int(bit)

    def even(self, count: int, value: int) -> int:
        """Write up to STEP bits."""
        self._range >>= count
        self._low += value * self._range
        if self._range < BOTTOM:
            self._shift()
        return value

    def run(self, probabilities: Sequence[int], bits: Sequence[int]) -> list[int]:
        """Write a bit for each of the probabilities."""
        for probability, bit in zip(probabilities, bits, strict=True):
            self.code(probability, bit)
        return list(bits)

    def _shift(self) -> None:
        self._carry()
        self._words.append(self._low >> 32)
        self._low = (self._low & (BOTTOM - 1)) << 16
        self._range <<= 16

    def _carry(self) -> None:
        if self._low < TOP:
            return
        self._low -= TOP
        place = len(self._words) - 1
        while self._words[place] == 0xFFFF:
            self._words[place] = 0
            place -= 1
        self._words[place] += 1

    def finish(self) -> bytes:
        """Return all that was written, in as few bytes as tell it from everything else."""
        for kept in range(0, 49, 8):  # the roundest number within the range
            step = 1 << 48 - kept
            value = -(-self._low // step) * step
            if value < self._low + self._range:
                self._low = value
                break
        self._carry()
        whole = b"".join(word.to_bytes(2, "big") for word in self._words)
        return (whole + self._low.to_bytes(6, "big")).rstrip(b"\0")
