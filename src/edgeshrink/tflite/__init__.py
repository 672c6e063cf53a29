"""The bytes of .tflite files: read, stripped, packed. Needs numpy, never TensorFlow."""
