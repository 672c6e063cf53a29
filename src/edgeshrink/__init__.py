"""Make Keras models small, and prove it on the device."""
