"""The folders that commands write: file names, checks of output folders, and typed, versioned JSON."""
