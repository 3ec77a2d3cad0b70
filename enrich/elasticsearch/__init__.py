"""Elasticsearch as workers and readers use it: where it is, what it is asked, how documents lie in it."""
