"""Files: writes are atomic, and a damaged file is reported in one line."""
