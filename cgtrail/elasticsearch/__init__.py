"""Preparing Elasticsearch: templates, retention, roles, tenants' aliases."""
