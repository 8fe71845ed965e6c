"""Wake somebody: the alarms of a deployment, each with its runbook."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from constructs.decode.probe import EndpointProbe
from constructs.gateway.service import GatewayService
from constructs.observability.published import published
from constructs.observability.runbook import Runbook, described
from constructs.review.acknowledge import acknowledge
from constructs.serving.workers import VllmWorkers
from runtime.handoff import metrics
from tandem.spec.decode import Cs3
from tandem.spec.deployment import Deployment

_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
_MINUTE = Duration.seconds(metrics.PERIOD_SECONDS)
_QUIET = cloudwatch.TreatMissingData.NOT_BREACHING


class DeploymentAlarms(Construct):
    """Hold every alarm; ``all`` is their list, the most urgent first.

    A share of requests needs three bad minutes of five, so that a single failure at night wakes nobody.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        deployment: Deployment,
        gateway: GatewayService,
        workers: Sequence[VllmWorkers],
        probe: EndpointProbe | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name, self._settings = deployment.name, deployment.observability
        self.all: list[cloudwatch.Alarm] = []
        self._of_gateway(gateway)
        if isinstance(deployment.decode, Cs3):
            self._of_reservations()
        if probe:
            self._of_probe(probe)
        for stage in workers:
            self._of_kv(stage.name)
            self._of_hosts(stage)
        if self._settings.alarm_topic_arn:
            self._notify(self._settings.alarm_topic_arn)
        else:
            acknowledge(self, NIST_CloudWatchAlarmAction="the file names no topic: alarms show on the dashboard alone")

    def _of_gateway(self, gateway: GatewayService) -> None:
        errors = self._share_of_requests(metrics.ERRORS)
        self._add("RequestsFail", errors, Runbook.REQUESTS_FAIL, "more than 1 % of requests fail", threshold=1)
        # the load balancer's metrics come every minute, and CDK would read them every five
        unhealthy = gateway.load_balancer.metric_unhealthy().with_(period=_MINUTE)
        self._add(
            "GatewayUnhealthy", unhealthy, Runbook.GATEWAY_UNHEALTHY, "a gateway task fails its check", threshold=0
        )
        seconds = self._settings.first_token_p99_seconds
        first = published(metrics.TIME_TO_FIRST_TOKEN, self._name)
        text = f"the slowest 1 % of streams wait more than {seconds:g} s for their first token"
        self._add("FirstTokenSlow", first, Runbook.FIRST_TOKEN_SLOW, text, threshold=seconds * 1000)
        throttled = self._share_of_requests(metrics.THROTTLES)
        self._add(
            "ClientsThrottled", throttled, Runbook.CLIENTS_THROTTLED, "more than 5 % of requests get 429", threshold=5
        )

    def _of_reservations(self) -> None:
        fill = published(metrics.RESERVATION_FILL, self._name)
        text = "more than 90 % of the decode endpoint's KV memory is reserved"
        self._add("DecodeMemoryFull", fill, Runbook.DECODE_MEMORY_FULL, text, threshold=0.9, periods=(10, 10))

    def _of_probe(self, probe: EndpointProbe) -> None:
        text = "the decode endpoint does not answer its probe, or does not list the model"
        self._add(
            "DecodeEndpointDown",
            probe.metric_up(),
            Runbook.DECODE_ENDPOINT_DOWN,
            text,
            threshold=1,
            below=True,
            periods=(2, 2),
            missing=cloudwatch.TreatMissingData.BREACHING,  # a probe that does not run is no sign of health
        )

    def _of_kv(self, stage: str) -> None:
        expired = published(metrics.KV_LEASE_EXPIRED, self._name, stage=stage)
        text = f"KV of {stage} workers is not read before its lease ends"
        self._add(f"KvLeasesExpire-{stage}", expired, Runbook.KV_LEASES_EXPIRE, text, threshold=0)
        failed = published(metrics.KV_TRANSFERS_FAILED, self._name, stage=stage)
        text = f"transfers of KV fail at {stage} workers"
        self._add(f"KvTransfersFail-{stage}", failed, Runbook.KV_TRANSFERS_FAIL, text, threshold=0)
        efa = published(metrics.EFA_IN_USE, self._name, stage=stage)
        text = f"a {stage} worker that runs has no EFA device open"
        self._add(f"EfaNotInUse-{stage}", efa, Runbook.EFA_NOT_IN_USE, text, threshold=1, below=True)

    def _of_hosts(self, stage: VllmWorkers) -> None:
        for group, missing in stage.metrics_missing_hosts().items():
            text = f"{stage.name} group {group} waits for hosts"
            name = f"HostsMissing-{stage.name}-{group}"
            self._add(name, missing, Runbook.HOSTS_MISSING, text, threshold=0, periods=(3, 3))

    def _share_of_requests(self, metric: metrics.Metric) -> cloudwatch.MathExpression:
        """Return which percentage of requests ``metric`` counts."""
        return cloudwatch.MathExpression(
            expression="IF(all > 0, 100 * some / all, 0)",
            using_metrics={"some": published(metric, self._name), "all": published(metrics.REQUESTS, self._name)},
            period=_MINUTE,
        )

    def _add(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        runbook: Runbook,
        text: str,
        *,
        threshold: float,
        below: bool = False,
        periods: tuple[int, int] = (3, 5),
        missing: cloudwatch.TreatMissingData = _QUIET,
    ) -> None:
        """Add an alarm; ``periods`` are how many bad ones of how many make it fire."""
        bad, of = periods
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            comparison_operator=_BELOW if below else _ABOVE,
            datapoints_to_alarm=bad,
            evaluation_periods=of,
            treat_missing_data=missing,
            alarm_description=described(text, self._settings.runbooks, runbook),
        )
        self.all.append(alarm)

    def _notify(self, topic_arn: str) -> None:
        """Tell the topic when an alarm fires, and when it is over."""
        action = actions.SnsAction(sns.Topic.from_topic_arn(self, "Topic", topic_arn))
        for alarm in self.all:
            alarm.add_alarm_action(action)
            alarm.add_ok_action(action)
