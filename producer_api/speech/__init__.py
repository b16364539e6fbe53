"""OpenAI's speech endpoint: a request of theirs as a cast, and a cast as the audio or the events they expect."""
