"""How a number, a name, a text from elsewhere, a Markdown cell is written."""
