"""The background: what to seal, merge and index, and doing it. Searches and small writes go on meanwhile."""
