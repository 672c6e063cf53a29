"""Samples: read from what the user names, split into subsets, checked, preprocessed by the batch."""
