"""Low rank and substitution: layers that cost less in the place of layers."""
