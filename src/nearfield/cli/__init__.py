"""The command line: parses, calls the public API, prints. No logic of search or storage is here."""
