"""Tokens and statistics of masked rows from their hidden states."""
