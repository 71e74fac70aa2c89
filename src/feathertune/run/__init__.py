"""Runs: prepare, train, evaluate, load, inspect."""
