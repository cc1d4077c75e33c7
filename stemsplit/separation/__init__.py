"""From a song to its stems: chunking, the engine that runs a model, the pipeline around it."""
