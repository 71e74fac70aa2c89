"""Exports: what was trained, in the files other runtimes read, each checked against the evaluated predictions."""
