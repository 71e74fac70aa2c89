"""Exports: the trained model in files that other runtimes read, each checked against the evaluated predictions."""
