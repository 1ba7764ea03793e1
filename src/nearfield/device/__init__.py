"""Which devices are there, what fits on them, and how are vectors scanned there? Knows vectors; no file, no document."""
