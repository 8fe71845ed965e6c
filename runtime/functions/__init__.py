"""Lambda functions: the standard library and boto3 only, which the Lambda runtime brings along."""
