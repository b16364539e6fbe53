"""What front and workers agree on; imports nothing of theirs."""
