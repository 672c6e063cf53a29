"""From a Keras model to a .tflite file, made in a process of its own, and checked."""
