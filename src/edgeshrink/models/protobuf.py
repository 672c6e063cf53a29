"""As much of protobuf's wire format as SavedModels and Keras 2's notes need."""

from __future__ import annotations

from collections.abc import Iterator

# Values of fixed size: by wire type, their bytes.
FIXED = {1: 8, 5: 4}
LONGEST_VARINT = 10


class Message:
    """A message, whose fields are found when they are asked for.

    Args:
        data: its bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __iter__(self) -> Iterator[tuple[int, int | bytes]]:
        """Yield field numbers and values: a whole number, or bytes of a text or message.

        Raises:
            IndexError: it is damaged.
        """
        place = 0
        while place < len(self.data):
            tag, place = self._varint(place)
            kind = tag & 7
            if kind == 0:
                value, place = self._varint(place)
                yield tag >> 3, value
                continue
            if kind == 2:
                length, place = self._varint(place)
            elif kind in FIXED:
                length = FIXED[kind]
            else:
                raise IndexError("a wire type that is not written any more")
            if place + length > len(self.data):
                raise IndexError("a field ends after the file")
            yield tag >> 3, self.data[place : place + length]
            place += length

    def _varint(self, place: int) -> tuple[int, int]:
        value = 0
        for step in range(LONGEST_VARINT):
            byte = self.data[place + step]
            value |= (byte & 0x7F) << 7 * step
            if byte < 0x80:
                return value, place + step + 1
        raise IndexError("a number is too long")


def messages(message: Message, number: int) -> list[bytes]:
    """Return the bytes of each field of this number that holds a message or text."""
    return [value for one, value in message if one == number and isinstance(value, bytes)]


def texts(message: Message, number: int) -> list[str]:
    """Return each text field of this number."""
    return [value.decode() for value in messages(message, number)]
