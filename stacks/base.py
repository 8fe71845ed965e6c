"""Give every stack of a deployment its name, place and description."""

from __future__ import annotations

from aws_cdk import DefaultStackSynthesizer, Environment, Stack
from aws_cdk import aws_logs as logs
from constructs import Construct

from tandem.spec.deployment import Deployment

_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}


class DeploymentStack(Stack):
    """Be one unit of a deployment; ``kind`` names it within the deployment."""

    kind: str

    def __init__(self, scope: Construct, deployment: Deployment, *, termination_protection: bool = False) -> None:
        super().__init__(
            scope,
            f"{deployment.name}-{self.kind}",
            env=Environment(account=deployment.account, region=deployment.region),
            description=f"Tandem {deployment.name}: {self.kind}",
            termination_protection=termination_protection,
            # CloudFormation's limit of a template's size counts indentation
            suppress_template_indentation=True,
            # the CLI checks the bootstrap version by itself
            synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
        )
        self._zones = sorted({*deployment.network.load_balancer_zones, deployment.network.efa_zone})
        self.log_retention = _RETENTION[deployment.observability.log_retention_days]

    @property
    def availability_zones(self) -> list[str]:
        """The zones that the deployment file names, so that synth never asks AWS for them."""
        return self._zones
