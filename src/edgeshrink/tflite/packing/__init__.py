"""Writes `.esz` files, which `edgeshrink.tflite.esz` reads."""
