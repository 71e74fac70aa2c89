"""Statistics: arrays in, numbers out. Nothing here knows a file, a text or a model."""
