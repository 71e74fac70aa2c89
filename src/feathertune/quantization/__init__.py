"""Quantization: the numeric specification, integer layers, fake quantization, conversion."""
