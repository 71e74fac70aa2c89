"""From a source (Hub id, folder, file or `sample`) to a checked `Dataset`, and its statistics."""
