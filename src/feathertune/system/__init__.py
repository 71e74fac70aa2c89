"""The machine: atomic files, spooled bytes, processor and memory."""
