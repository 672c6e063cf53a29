"""What is asked for, and every mistake that can be told before TensorFlow is loaded.

Uses measuring, for the devices that a request names.
"""
