"""Which index, and why: arithmetic over sizes. Knows index kinds, nothing of storage."""
