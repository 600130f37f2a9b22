"""Passes of the model by hand in C, for CPUs with AMX; attention is within segments alone."""
