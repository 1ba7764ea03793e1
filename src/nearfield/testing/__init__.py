"""The public contract kit: subclass a contract, name your kind or embedder, and get its tests."""

from nearfield.embed.hashing import HashEmbedder
from nearfield.testing.embedders import EmbedderContract
from nearfield.testing.kinds import KindContract

__all__ = ["EmbedderContract", "HashEmbedder", "KindContract"]
