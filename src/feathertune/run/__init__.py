"""Runs: training by a recipe, and loading, evaluating and inspecting the result."""
