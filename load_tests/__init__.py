"""One runnable module per figure we publish, and the systems they run on."""
