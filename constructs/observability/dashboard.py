"""Show a deployment on one page, with alarms, from metrics that the constructs expose."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from constructs.decode.probe import EndpointProbe
from constructs.gateway.service import GatewayService
from constructs.serving.workers import VllmWorkers

_HALF = 12


class DeploymentDashboard(Construct):
    """Hold the dashboard and its alarms: errors and health on top, then capacity."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        gateway: GatewayService,
        workers: Sequence[VllmWorkers],
        probe: EndpointProbe | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.alarms = [*self._gateway_alarms(gateway), *([self._probe_alarm(probe)] if probe else [])]
        self.alarms += [alarm for stage in workers for alarm in self._host_alarms(stage)]
        self.dashboard = cloudwatch.Dashboard(self, "Dashboard")
        self.dashboard.add_widgets(cloudwatch.AlarmStatusWidget(alarms=self.alarms, width=24, title="Alarms"))
        self._gateway_row(gateway)
        self._capacity_row(gateway, workers)

    def _gateway_alarms(self, gateway: GatewayService) -> list[cloudwatch.Alarm]:
        balancer = gateway.load_balancer
        return [
            _alarm(self, "ServerErrors", balancer.metric_server_errors(), above=0, text="the gateway answered 5xx"),
            _alarm(self, "UnhealthyGateway", balancer.metric_unhealthy(), above=0, text="a gateway task is unhealthy"),
        ]

    def _probe_alarm(self, probe: EndpointProbe) -> cloudwatch.Alarm:
        return probe.metric_up().create_alarm(
            self,
            "DecodeEndpointDown",
            threshold=1,
            evaluation_periods=2,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            alarm_description="the decode endpoint does not answer its probe, or does not list the model",
        )

    def _host_alarms(self, stage: VllmWorkers) -> list[cloudwatch.Alarm]:
        return [
            missing.create_alarm(
                self,
                f"HostsMissing-{stage.name}-{group}",
                threshold=0,
                evaluation_periods=3,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
                alarm_description=f"{stage.name} group {group} waits for hosts: see docs/capacity.md",
            )
            for group, missing in stage.metrics_missing_hosts().items()
        ]

    def _gateway_row(self, gateway: GatewayService) -> None:
        balancer = gateway.load_balancer
        answers = [balancer.metric_requests(), balancer.metric_throttled(), balancer.metric_server_errors()]
        self.dashboard.add_widgets(
            cloudwatch.GraphWidget(title="Requests, 4xx, 5xx", left=answers, width=_HALF),
            cloudwatch.GraphWidget(title="First byte p99 (s)", left=[balancer.metric_first_byte()], width=_HALF),
        )

    def _capacity_row(self, gateway: GatewayService, workers: Sequence[VllmWorkers]) -> None:
        hosts = [metric for stage in workers for metric in stage.metrics_hosts()]
        self.dashboard.add_widgets(
            cloudwatch.GraphWidget(title="Gateway CPU (%)", left=[gateway.metric_cpu()], width=_HALF),
            *([cloudwatch.GraphWidget(title="Trainium hosts in service", left=hosts, width=_HALF)] if hosts else []),
        )


def _alarm(scope: Construct, name: str, metric: cloudwatch.Metric, *, above: int, text: str) -> cloudwatch.Alarm:
    return metric.create_alarm(
        scope,
        name,
        threshold=above,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=text,
    )
