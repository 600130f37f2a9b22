"""Decoding policies: the table, references and the kernel."""
