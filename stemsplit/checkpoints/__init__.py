"""The registry of models, and the download, verification and loading of their weights."""
