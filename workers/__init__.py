"""Workers: a shell that claims and commits, and an engine process that renders."""
