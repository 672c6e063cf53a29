"""What stages are worth: on samples, on devices, on perturbed images.

Imports running and what is below it.
"""
