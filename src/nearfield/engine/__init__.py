"""Records in, ranked rows out: the local engine and what any engine promises. Knows no model and no HTTP."""
