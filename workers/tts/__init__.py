"""Speech workers: tts.jobs."""
