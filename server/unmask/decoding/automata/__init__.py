"""Structured output: grammars, automata over tokens, masks for denoising in any order; no torch."""
