"""The front: HTTP and WebSocket in, tickets out, logs read back. Never runs a model."""
