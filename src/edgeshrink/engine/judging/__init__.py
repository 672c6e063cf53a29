"""What stages are worth: verdicts on samples and devices, clean and perturbed."""
