"""From texts to packed batches of tokens, without padding."""
