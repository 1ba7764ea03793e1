"""What every layer shares: errors, types, metrics, filters, configuration. Knows numpy and msgspec, nothing else."""
