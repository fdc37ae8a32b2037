"""Files: written so that a reader never sees half of one, read so that a damaged one is reported in one line."""
