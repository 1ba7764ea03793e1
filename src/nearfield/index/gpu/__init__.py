"""FAISS on a card: what is possible and fits there, clones that answer as indexes do, builds. One thread owns a card."""
