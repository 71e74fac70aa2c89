"""Serving: predictions for texts and for files."""
