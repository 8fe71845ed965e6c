"""Say what is logged and traced, and when somebody is woken."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.spec.section import Section

TopicArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$")]


class Observability(Section):
    """Say how long logs are kept, when somebody is woken, and what they are given to read."""

    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 180, 365, 400, 731, 1827, 3653] = 30
    alarm_topic_arn: Annotated[
        TopicArn | None, Field(description="the SNS topic that alarms notify; default: none")
    ] = None
    runbooks: Annotated[
        str,
        Field(
            min_length=1,
            max_length=300,
            pattern=r"^[^\s#]+$",
            description="where your people find docs/runbooks.md: alarms link there",
        ),
    ] = "docs/runbooks.md"
    tracing: Annotated[
        Literal["none", "xray"], Field(description="xray: a collector beside each gateway sends spans to X-Ray")
    ] = "none"
    trace_ratio: Annotated[
        float, Field(gt=0, le=1, description="which share of requests is traced, besides those that a client traces")
    ] = 0.05
    first_token_p99_seconds: Annotated[
        float,
        Field(gt=0, le=600, description="alarm where the slowest 1 % of streams wait longer for their first token"),
    ] = 10.0
