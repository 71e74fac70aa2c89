"""Searching for a better recipe: a `search` section -> trials, compared on validation -> the best recipe."""
