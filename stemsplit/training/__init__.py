"""Training networks from folders of stems. Never imported when separating."""
