"""What a cluster of Elasticsearch is prepared with: templates, lifecycles, roles, aliases."""
