"""Weights of 4 and 2 bits, of few levels, and of powers of two."""
