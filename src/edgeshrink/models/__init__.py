"""Model files: what kind a file is, what its configuration says, and where it came from."""
