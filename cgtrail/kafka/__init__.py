"""Kafka's side of things for those who run it: topics, rights, and whether they fit."""
