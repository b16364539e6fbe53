"""Model files: a manifest with checksums, the sources they may come from, and the folder they are kept in."""
