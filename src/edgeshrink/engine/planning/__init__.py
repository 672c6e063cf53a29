"""What is asked for, and every mistake that can be told before TensorFlow is loaded.

Imports measuring, for the devices that a request names.
"""
