"""Answers from what a search found: numbered passages, a question to a chat model, citations that name passages or nothing."""
