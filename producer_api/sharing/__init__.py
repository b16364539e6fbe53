"""Casts as others show them: feeds of podcast players, cards and players in pages of other sites."""
