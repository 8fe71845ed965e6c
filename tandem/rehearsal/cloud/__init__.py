"""Embed an AWS in this process: moto's server, with what CloudFormation needs that moto lacks."""
