"""Secrets are taken out of documents: passwords in commands, tokens, private keys, by rules that users can extend."""
