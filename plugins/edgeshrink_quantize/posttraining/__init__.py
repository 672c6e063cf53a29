"""Accuracy after training, without training: equalized, rounded and corrected on samples."""
