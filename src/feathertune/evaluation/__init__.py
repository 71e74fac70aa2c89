"""How good predictions are, and how certain that is: `Predictions` -> `Metrics`, calibration, error analysis."""
