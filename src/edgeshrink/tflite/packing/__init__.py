"""Writes `.esz` files, which `edgeshrink.tflite.esz` reads: every way is tried, the best kept."""
