"""Fast attention, matmul, dropout and GELU. Nothing here depends on a model family."""
