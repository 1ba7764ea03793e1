"""The HTTP service: what a team deploys. Parses, limits, batches, counts; the search itself is the collection's."""
