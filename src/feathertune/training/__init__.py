"""Training: one short loop for every method, exact to repeat and to resume."""
