"""What stages are worth: on samples, on devices, on perturbed images.

Scores are made, and sentences such as "slower" written, in results.

Uses running and what is below it.
"""
