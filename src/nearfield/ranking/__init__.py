"""What happens to candidates between the engine and the user: thresholds, reranking, diversity, groups, pages, likes."""
