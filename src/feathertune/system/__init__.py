"""The system: atomic files, spooled bytes, processor and memory."""
