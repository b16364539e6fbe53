"""Live transcripts: a microphone's audio becomes utterances, and those become units."""
