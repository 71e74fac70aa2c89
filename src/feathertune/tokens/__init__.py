"""Texts to packed token batches: no padding, ever."""
