"""Show a deployment on one page, to be read from top to bottom by whoever was woken."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from constructs.gateway.service import GatewayService
from constructs.observability.cost import cost_per_hour, host_costs
from constructs.observability.published import published
from constructs.serving.workers import VllmWorkers
from runtime.handoff import metrics
from tandem.spec.decode import Cs3
from tandem.spec.deployment import Deployment

_HALF = 12


class DeploymentDashboard(Construct):
    """Hold the dashboard: what is wrong, how users feel it, where time goes, what KV and hosts do, what it costs."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        deployment: Deployment,
        alarms: Sequence[cloudwatch.Alarm],
        gateway: GatewayService,
        workers: Sequence[VllmWorkers],
    ) -> None:
        super().__init__(scope, construct_id)
        self._deployment, self._gateway, self._workers = deployment, gateway, workers
        self.dashboard = cloudwatch.Dashboard(self, "Dashboard")
        self.dashboard.add_widgets(_text(self._heading(), height=2))
        self.dashboard.add_widgets(cloudwatch.AlarmStatusWidget(alarms=alarms, width=24, title="Alarms"))
        self._row(self._phases(), self._first_token())
        self._row(self._requests(), self._load())
        if workers:
            self._row(self._kv_moved(), self._kv_lost())
            self._row(self._provider(), self._memory())
        self._row(*([self._hosts()] if workers else []), self._gateway_tasks())
        if scaling := self._scaling():
            self._row(*scaling)
        if workers:
            self._cost()

    def _heading(self) -> str:
        deployment = self._deployment
        runbooks = deployment.observability.runbooks
        return (
            f"# {deployment.name}\n{deployment.model.id}, decoded by {deployment.decode.provider}. Runbooks: {runbooks}"
        )

    def _phases(self) -> cloudwatch.GraphWidget:
        phases = [self._metric(phase) for phase in metrics.PHASES.values()]
        return _graph("Time to first token by phase, mean (ms)", phases, stacked=True)

    def _first_token(self) -> cloudwatch.GraphWidget:
        first, whole = metrics.TIME_TO_FIRST_TOKEN, metrics.REQUEST_TIME
        lines = [
            *(self._metric(first, statistic=statistic) for statistic in ("p50", "p99")),
            self._metric(whole, statistic="p99"),
        ]
        return _graph("Time to first token p50, p99; whole requests p99 (ms)", lines)

    def _requests(self) -> cloudwatch.GraphWidget:
        counts = (metrics.REQUESTS, metrics.ERRORS, metrics.THROTTLES, metrics.CLIENTS_GONE)
        return _graph("Requests a minute: all, failed, 429, client gone", [self._metric(each) for each in counts])

    def _load(self) -> cloudwatch.GraphWidget:
        queue, streams = self._metric(metrics.QUEUED_PROMPT_TOKENS), self._metric(metrics.ACTIVE_STREAMS)
        return _graph("Prompt tokens in prefill; requests under way (right)", [queue], right=[streams])

    def _kv_moved(self) -> cloudwatch.GraphWidget:
        stages = [stage.name for stage in self._workers]
        if isinstance(self._deployment.decode, Cs3):
            return _graph("KV read from prefill (bytes a minute)", [self._metric(metrics.KV_TRANSFER_BYTES)])
        lines = [self._metric(metrics.KV_TRANSFER_BYTES, stage=stage) for stage in stages]
        return _graph("KV read from prefill (bytes a minute)", lines)

    def _kv_lost(self) -> cloudwatch.GraphWidget:
        lost = (metrics.KV_LEASE_EXPIRED, metrics.KV_NOTIFIED_LATE, metrics.KV_TRANSFERS_FAILED)
        other = [self._metric(metrics.FIRST_TOKENS_OTHER)]
        title = "KV lost: lease expired, notified late, transfer failed; first token not prefill's (right)"
        return _graph(title, self._of_stages(*lost), right=other)

    def _provider(self) -> cloudwatch.GraphWidget:
        return _graph("EFA in use by every worker (1), not by some (0)", self._of_stages(metrics.EFA_IN_USE))

    def _memory(self) -> cloudwatch.GraphWidget:
        lines = self._of_stages(metrics.KV_CACHE_USAGE)
        if isinstance(self._deployment.decode, Cs3):
            lines = [self._metric(metrics.RESERVATION_FILL), *lines]
        waiting = self._of_stages(metrics.REQUESTS_WAITING)
        return _graph("Share of KV memory: reserved at decode, used at workers; waiting (right)", lines, right=waiting)

    def _hosts(self) -> cloudwatch.GraphWidget:
        hosts = [metric for stage in self._workers for metric in stage.metrics_hosts()]
        return _graph("Trainium hosts in service", hosts)

    def _scaling(self) -> list[cloudwatch.GraphWidget]:
        """Return a graph for each group that follows its prompts, with the brake that decode puts on it."""
        return [
            _graph(
                f"{stage.name} {group}: hosts that prompts need; braked by decode (right)",
                [scaling.metric_wanted()],
                right=[held] if (held := scaling.metric_held()) else [],
            )
            for stage in self._workers
            for group, scaling in stage.scaling.items()
        ]

    def _gateway_tasks(self) -> cloudwatch.GraphWidget:
        unhealthy = self._gateway.load_balancer.metric_unhealthy()
        return _graph("Gateway CPU (%); unhealthy tasks (right)", [self._gateway.metric_cpu()], right=[unhealthy])

    def _cost(self) -> None:
        costs = host_costs(self._workers, self._deployment.region)
        spent = cost_per_hour(costs)
        prices = "\n".join(f"- {cost.text}" for cost in costs)
        text = f"**Cost**: `tandem plan` has the rest of the deployment. List prices:\n{prices}"
        graph = [_graph("Trainium hosts ($ an hour)", [spent])] if spent else []
        self._row(*graph, cloudwatch.TextWidget(markdown=text, width=_HALF, height=6))

    def _of_stages(self, *which: metrics.Metric) -> list[cloudwatch.Metric]:
        return [self._metric(metric, stage=stage.name) for metric in which for stage in self._workers]

    def _metric(self, metric: metrics.Metric, *, stage: str | None = None, statistic: str = "") -> cloudwatch.Metric:
        label = " ".join(filter(None, [stage, metric.name, statistic]))
        return published(metric, self._deployment.name, stage=stage, statistic=statistic or None).with_(label=label)

    def _row(self, *widgets: cloudwatch.IWidget) -> None:
        self.dashboard.add_widgets(*widgets)


def _graph(
    title: str,
    left: Sequence[cloudwatch.IMetric],
    *,
    right: Sequence[cloudwatch.IMetric] = (),
    stacked: bool = False,
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(left), right=list(right), width=_HALF, stacked=stacked)


def _text(markdown: str, *, height: int) -> cloudwatch.TextWidget:
    return cloudwatch.TextWidget(markdown=markdown, width=24, height=height)
