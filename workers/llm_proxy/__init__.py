"""Completions, streamed from OpenAI-compatible servers (upstreams) into their logs."""
