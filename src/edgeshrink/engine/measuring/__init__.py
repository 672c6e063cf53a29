"""Devices side by side: sessions, measurements, and proof that outputs are right."""
