"""Load from outside: how fast a server or a directory answers at a rate, and whether a new one answers as the old one did."""
