"""Put the stacks of one deployment file together: the only reader of CDK context.

``cdk synth -c deployment=deployments/NAME.yaml``; without the context value, ``deployments/rehearsal.yaml``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from constructs.decode.endpoint import DecodeEndpoint
from constructs.review.acknowledge import acknowledge_everywhere
from constructs.serving.workers import VllmWorkers
from stacks.decode import DecodeEndpointStack
from stacks.gateway import GatewayStack
from stacks.network import NetworkStack
from stacks.observability import ObservabilityStack
from stacks.registration import RegistrationStack
from stacks.storage import StorageStack
from stacks.workers import DecodeWorkersStack, PrefillStack
from tandem.spec.decode import VllmDecode
from tandem.spec.deployment import Deployment
from tandem.spec.findings import has_errors
from tandem.spec.read import read

_ROOT = Path(__file__).parent
_DEFAULT = "deployments/rehearsal.yaml"


def build(app: App, deployment: Deployment) -> None:
    """Add every stack of ``deployment`` to ``app``, in the order of their dependence."""
    storage = StorageStack(app, deployment)
    network = NetworkStack(app, deployment, storage=storage)
    prefill = _prefill(app, deployment, network, storage)
    decode = _decode(app, deployment, network, storage)
    if prefill and isinstance(decode, VllmWorkers):
        decode.exchange_kv_with(prefill)
    gateway = GatewayStack(app, deployment, network=network, storage=storage, prefill=prefill, decode=decode).gateway
    if deployment.registration.registrar != "none":
        RegistrationStack(app, deployment, network=network, storage=storage, gateway=gateway)
    ObservabilityStack(app, deployment, gateway=gateway, prefill=prefill, decode=decode)
    Tags.of(app).add("tandem:deployment", deployment.name)


def _prefill(app: App, deployment: Deployment, network: NetworkStack, storage: StorageStack) -> VllmWorkers | None:
    if deployment.prefill is None:
        return None
    return PrefillStack(app, deployment, deployment.prefill, network=network, storage=storage).workers


def _decode(
    app: App, deployment: Deployment, network: NetworkStack, storage: StorageStack
) -> VllmWorkers | DecodeEndpoint:
    if isinstance(deployment.decode, VllmDecode):
        return DecodeWorkersStack(app, deployment, deployment.decode, network=network, storage=storage).workers
    return DecodeEndpointStack(app, deployment, deployment.decode, network=network, storage=storage).endpoint


def synthesize(app: App) -> int:
    """Synthesize the deployment that the context names; print findings and return 1 where it has errors."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    acknowledge_everywhere(app)
    path = app.node.try_get_context("deployment") or _DEFAULT
    deployment, findings = read(_ROOT / path)
    for finding in findings:
        print(finding, file=sys.stderr)
    if deployment is None or has_errors(findings):
        return 1
    build(app, deployment)
    app.synth()
    return 0


if __name__ == "__main__":
    # CDK's own template validation doubles a synth's CPU time; tests/test_app.py runs it, and cfn-lint
    sys.exit(synthesize(App(builtin_cloud_formation_validation=False)))
