"""Documents in parts: passages of a text, and several named vectors. Knows texts and offsets first; rows only in intake."""
