"""Samples: read from what the user names, split into subsets, checked, given out in batches."""
