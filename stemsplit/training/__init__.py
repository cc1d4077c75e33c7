"""Train networks on songs with stems; never imported when separating."""
