"""Quantization-aware training: a twin whose numbers are rounded while it learns."""
