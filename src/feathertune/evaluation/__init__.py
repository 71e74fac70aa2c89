"""What a model said, how good that is, and how sure one can be: logits -> `Predictions` -> `Metrics` -> tables."""
