"""Estimate what a deployment costs, from its CloudFormation templates and a table of published prices."""
