"""What is written: selection and mixes, names, manifests, writers, projects."""
