"""The public contract kit: subclass a contract, name your kind, engine or embedder, and get its tests."""
