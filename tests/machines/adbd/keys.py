"""The keys by which a device knows its clients: RSA with SHA-1, in Android's own wrapping."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass

# What stands before a SHA-1 digest that is signed by PKCS #1 version 1.5.
PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")


@dataclass(frozen=True)
class Key:
    """An RSA public key."""

    modulus: int
    exponent: int
    size: int


def public_key(line: bytes) -> Key:
    """Return the key in `base64 user@host`: a count of words, then number, modulus, more."""
    raw = base64.b64decode(line.split()[0].rstrip(b"\0"))
    size = 4 * struct.unpack_from("<I", raw)[0]
    modulus = int.from_bytes(raw[8 : 8 + size], "little")
    (exponent,) = struct.unpack_from("<I", raw, 8 + 2 * size)
    return Key(modulus, exponent, size)


def is_signed(token: bytes, signature: bytes, key: Key) -> bool:
    """Return whether `signature` is that key's of `token`, which stands for the digest itself."""
    number = pow(int.from_bytes(signature, "big"), key.exponent, key.modulus)
    tail = b"\0" + PREFIX + token
    padded = b"\0\1" + b"\xff" * (key.size - len(tail) - 2) + tail
    return number.to_bytes(key.size, "big") == padded
