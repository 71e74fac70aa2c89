"""The data room: from a source (Hub id, folder, file, `sample`) to a checked `Dataset`, and what is known about it."""
