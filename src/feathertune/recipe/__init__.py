"""The recipe: its schema, its text and its files."""
