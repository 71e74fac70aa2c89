"""What a terminal shows: tables, the model tree, progress."""
