"""Stems laid out for a DAW: each project file is written from a session, and from nothing else."""
