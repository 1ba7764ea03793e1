"""A second generation of a collection, by another model: built beside the live one, compared with it, switched to and back."""
