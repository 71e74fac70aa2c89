"""Statistics: arrays in, numbers out. Nothing here knows about files, texts or models."""
