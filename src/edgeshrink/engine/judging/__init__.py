"""What stages are worth: on samples, on devices, on perturbed images.

Uses running and what is below it.
"""
