"""The outputs of a song: selection and mixes, names, manifests, writers, projects."""
