"""Keys, certificates, and what they say."""
