"""Engines shared by several HTTP processes: a hub beside the engines, a client in each process."""
