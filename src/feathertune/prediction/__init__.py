"""From a model and texts to `Predictions`, and the file that stores them."""
