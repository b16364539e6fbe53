"""Completions as OpenAI's clients ask for them and are answered."""
