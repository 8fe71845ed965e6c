"""The CDK's CLI against the embedded account, and what CloudFormation did."""
