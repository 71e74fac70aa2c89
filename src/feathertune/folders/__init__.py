"""What lies in the folders that commands write: file names, and typed, versioned JSON."""
