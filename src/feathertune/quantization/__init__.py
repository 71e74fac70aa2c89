"""The numbers of a quantized model: one specification, integer layers, fake quantizers, conversion."""
