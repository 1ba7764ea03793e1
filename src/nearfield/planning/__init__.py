"""Which index, and why: by arithmetic (`plan`), and by building and measuring (`tune`). Knows index kinds, no collection."""
