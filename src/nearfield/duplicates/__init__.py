"""Which documents of a collection are nearly the same, which of them stays, and what a new one is like.

Knows snapshots and prepared vectors; no model, no HTTP. Every score comes from `core.metric`.
"""
