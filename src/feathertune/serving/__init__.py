"""Serving: a trained model's answers for texts, files and, later, requests."""
