"""nearfield: texts and vectors in, a measured, durable, millisecond search service out."""

__version__ = "0.1.0"
