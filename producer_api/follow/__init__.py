"""Following logs: one feed per log, and its framings."""
