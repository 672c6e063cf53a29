"""As many bits for each layer as it needs, within a budget."""
