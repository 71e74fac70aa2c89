"""Training: one loop for all methods, reproducible bit for bit and resumable at any step."""
