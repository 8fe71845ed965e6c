"""Answer a custom resource with the length of a secret that only a grant lets it read."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import boto3


def handler(event: dict[str, Any], context: object) -> None:
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    try:
        secret = boto3.client("secretsmanager").get_secret_value(SecretId=event["ResourceProperties"]["SecretId"])
        answer |= {"Status": "SUCCESS", "Data": {"Length": len(secret["SecretString"])}}
    except Exception as error:
        answer |= {"Status": "FAILED", "Reason": str(error)}
    if event["RequestType"] == "Delete":
        answer |= {"Status": "SUCCESS"}
    body = json.dumps({**answer, "PhysicalResourceId": "length"}).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, {"Content-Type": ""}, method="PUT"))  # noqa: S310 - CloudFormation chooses the URL
