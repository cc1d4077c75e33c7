"""Separates a song into stems: chunking, the engine that runs a model, and the pipeline."""
