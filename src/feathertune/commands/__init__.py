"""Commands that `cli` takes from files of their own, and what they share with it."""
