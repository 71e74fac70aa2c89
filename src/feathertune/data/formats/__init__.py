"""From the bytes of a file to its rows: compression, encoding, kind of file, dialect, header."""
