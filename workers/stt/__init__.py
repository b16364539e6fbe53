"""Speech to text: decode a file, cut it into pieces at its pauses, hear each piece."""
