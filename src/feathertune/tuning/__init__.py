"""Searching for a better recipe: a `search` section -> trials, each a run judged on validation -> the best recipe."""
