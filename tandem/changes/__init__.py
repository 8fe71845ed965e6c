"""Explain what a change of a deployment does, from its CloudFormation templates."""
