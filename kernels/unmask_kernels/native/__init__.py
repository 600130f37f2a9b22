"""The C library: how it is built, loaded and threaded."""
