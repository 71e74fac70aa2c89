"""What is fast: attention, matmul, dropout, GELU. Nothing here knows a model family."""
