"""Recipes: methods in their order, the studies made of them, and the folder in which one runs."""
