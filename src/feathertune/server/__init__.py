"""An HTTP server over a `Predictor`: other servers' protocols, batching, limits and metrics."""
