"""Devices side by side: sessions, measurements, and proof that outputs are right.

Imports no other part of the engine.
"""
