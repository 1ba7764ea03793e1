"""The public contract kit: subclass a contract, name your kind or embedder, and get its tests."""

from nearfield.embed.hashing import HashEmbedder

__all__ = ["HashEmbedder"]
