"""Scale a group of prefill hosts on the prompts that wait for it."""

from __future__ import annotations

from typing import cast

from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from constructs.compute.demand import Demand
from constructs.compute.series import graph, tracking_queries
from tandem.spec.demand import TARGET


class QueueScaling(Construct):
    """Hold a group's two policies: out in proportion to the need, in by one host after a long quiet.

    Tracking would remove many hosts after 15 minutes; each takes far longer to come back. A host that goes is drained
    by ECS first. A maximum of 0, as at a block's end, stops both.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        group: autoscaling.AutoScalingGroup,
        demand: Demand,
        scale_in_minutes: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self._demand = demand
        autoscaling.CfnScalingPolicy(
            self,
            "Out",
            auto_scaling_group_name=group.auto_scaling_group_name,
            policy_type="TargetTrackingScaling",
            # the load counts hosts that still start, so none of them is to be left out of the group's size
            estimated_instance_warmup=0,
            target_tracking_configuration=autoscaling.CfnScalingPolicy.TargetTrackingConfigurationProperty(
                target_value=TARGET,
                disable_scale_in=True,
                customized_metric_specification=autoscaling.CfnScalingPolicy.CustomizedMetricSpecificationProperty(
                    metrics=tracking_queries(demand.load)
                ),
            ),
        )
        policy = autoscaling.CfnScalingPolicy(
            self,
            "In",
            auto_scaling_group_name=group.auto_scaling_group_name,
            policy_type="SimpleScaling",
            adjustment_type="ChangeInCapacity",
            scaling_adjustment=-1,
            cooldown=str(scale_in_minutes * 60),
        )
        spare = graph(demand.spare).create_alarm(
            self,
            "Spare",
            threshold=1,
            evaluation_periods=scale_in_minutes,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description="a prefill host is spare: scales the group in, nobody need act",
        )
        # CDK has no action for a policy that it did not make itself
        cast(cloudwatch.CfnAlarm, spare.node.default_child).alarm_actions = [policy.ref]

    def metric_wanted(self) -> cloudwatch.MathExpression:
        """Return how many hosts the prompts need of this group, before bounds."""
        return graph(self._demand.wanted)

    def metric_held(self) -> cloudwatch.MathExpression | None:
        """Return 1 while more hosts would be useless as decode is full; ``None`` where decode reports no fill."""
        return graph(self._demand.held) if self._demand.held else None
