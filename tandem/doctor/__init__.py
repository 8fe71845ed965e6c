"""Ask AWS whether a deployment file can be deployed as it stands, and whether what was deployed is sound."""
