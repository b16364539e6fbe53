"""Casts whose text arrives while they are spoken.

writer       adds units to the log, the order of work, the broker
texts        text that clients send, body by body
narration    what is spoken of a completion, by its records alone
completions  follows completions, and takes them over from fronts that died
"""
