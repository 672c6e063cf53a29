"""Odd texts: paths, flags, escape codes, and what their readers may stumble over."""

from __future__ import annotations

import random

ODD = (
    *("", " ", "a", "0", "-1", "nan", "1e999", "None", "true", "é", "日本", "\u202eabc", "\ufeff"),
    *("../../x", "/etc/hostname", "a/b", "a\x00b", "x" * 300, "x" * 100_000, "%s{}$(id)`id`", ";"),
    *("\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "\r", "\n\n", "<script>", "|a|b|", "--help"),
    *("'", '"', "a=b", "a,b", "1,2,3", "scale=1/0", "mean=0,std=0", "module:name", "keras:none"),
)


def odd(rng: random.Random) -> str:
    """Return an odd text."""
    return rng.choice(ODD)


def damaged(rng: random.Random, text: str) -> str:
    """Return a text with a piece changed, taken out or put in."""
    begin = rng.randrange(len(text) + 1)
    end = min(len(text), begin + rng.choice((0, 1, 1, 4, 16)))
    return text[:begin] + rng.choice(("", odd(rng), text[begin:end] * 2)) + text[end:]
