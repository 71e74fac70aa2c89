"""From a model and texts to `Predictions`, and their file."""
