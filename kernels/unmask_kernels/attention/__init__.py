"""Attention of ragged query rows over paged keys and values."""
