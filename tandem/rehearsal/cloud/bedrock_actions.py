"""Answer the Bedrock calls that moto lacks: model import jobs, imported models, marketplace endpoints.

A job goes from InProgress to Completed or Failed by moto's own state transitions (``IMPORT_JOB``). It fails where the
role may not read the weights; the weights themselves are not read. An endpoint is compatible where SageMaker has it
and its model is in network isolation.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from moto.bedrock.exceptions import BedrockClientError
from moto.bedrock.models import BedrockBackend
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.moto_api import state_manager
from moto.moto_api._internal.managed_state_model import ManagedState
from moto.sagemaker.models import sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

from tandem.rehearsal.cloud.permissions import allowed, may_assume

IMPORT_JOB: Final = "bedrock::model-import-job"
"""The name of a job's states in moto's state manager."""
state_manager.register_default_transition(IMPORT_JOB, {"progression": "immediate"})


class ImportJob(ManagedState):
    """Be one job and the model that it makes; ``failure`` says beforehand why it will fail."""

    def __init__(self, request: dict[str, Any], place: str, failure: str) -> None:
        end = "Failed" if failure else "Completed"
        ManagedState.__init__(self, IMPORT_JOB, transitions=[("InProgress", end)])
        self.request, self.failure, self.created = request, failure, utcnow()
        self.arn = f"{place}:model-import-job/{secrets.token_hex(6)}"
        self.model_arn = f"{place}:imported-model/{secrets.token_hex(6)}"
        self.deleted = False

    @property
    def has_model(self) -> bool:
        """Tell whether the model is there."""
        return self.status == "Completed" and not self.deleted

    def summary(self) -> dict[str, Any]:
        """Return what ListModelImportJobs and GetModelImportJob both tell."""
        names = {key: self.request[key] for key in ("jobName", "importedModelName")}
        made = {"importedModelArn": self.model_arn} if self.status == "Completed" else {}
        return {"jobArn": self.arn, "status": self.status, "creationTime": self.created, **names, **made}


def arns(backend: BedrockBackend) -> list[str]:
    """Return what may be tagged: moto's own resources, jobs and imported models."""
    ours = [arn for job in _jobs(backend) for arn in (job.arn, *([job.model_arn] if job.has_model else []))]
    return [*_moto_arns(backend), *ours]


_moto_arns = BedrockBackend._list_arns


def _jobs(backend: BedrockBackend) -> list[ImportJob]:
    """Return the jobs; they live on moto's backend, so that a reset forgets them."""
    jobs: list[ImportJob] = backend.__dict__.setdefault("embedded_import_jobs", [])
    return jobs


def _create_job(response: Any) -> ActionResult:
    request, backend = json.loads(response.body), response.bedrock_backend
    token = request.get("clientRequestToken")
    for job in _jobs(backend):
        if token and job.request.get("clientRequestToken") == token:
            return ActionResult({"jobArn": job.arn})
        if job.request["jobName"] == request["jobName"]:
            raise BedrockClientError("ConflictException", f"job name {request['jobName']} is in use")
        if job.request["importedModelName"] == request["importedModelName"] and (
            job.has_model or job.status == "InProgress"
        ):
            raise BedrockClientError("ConflictException", f"model name {request['importedModelName']} is in use")
    place = f"arn:aws:bedrock:{backend.region_name}:{backend.account_id}"
    made = ImportJob(request, place, _unreadable(request))
    _jobs(backend).append(made)
    for arn, tags in ((made.arn, "jobTags"), (made.model_arn, "importedModelTags")):
        pairs = [{"Key": tag["key"], "Value": tag["value"]} for tag in request.get(tags, [])]
        backend.tagger.tag_resource(arn, pairs)
    return ActionResult({"jobArn": made.arn})


def _unreadable(request: dict[str, Any]) -> str:
    """Return why the role cannot read the weights; empty if it can."""
    role, uri = request["roleArn"], request["modelDataSource"]["s3DataSource"]["s3Uri"]
    weights = f"arn:aws:s3:::{uri.removeprefix('s3://').rstrip('/')}/config.json"
    if not may_assume("bedrock.amazonaws.com", role):
        return f"bedrock.amazonaws.com may not assume {role}"
    return "" if allowed(role, "s3:GetObject", weights) else f"{role} may not s3:GetObject {weights}"


def _segment(response: Any, index: int) -> str:
    return unquote(str(response.raw_path).split("/")[index])


def _get_job(response: Any) -> ActionResult:
    wanted = _segment(response, 2)
    for job in _jobs(response.bedrock_backend):
        if wanted in (job.arn, job.request["jobName"]):
            job.advance()
            failed = {"failureMessage": job.failure} if job.status == "Failed" else {}
            kept = {key: job.request[key] for key in ("roleArn", "modelDataSource")}
            return ActionResult({**job.summary(), **kept, **failed})
    raise BedrockClientError("ResourceNotFoundException", f"there is no import job {wanted}")


def _list_jobs(response: Any) -> ActionResult:
    name, status = response._get_param("nameContains", ""), response._get_param("statusEquals")
    found = []
    for job in _jobs(response.bedrock_backend):
        job.advance()
        if name in job.request["jobName"] and status in (None, job.status):
            found.append(job.summary())
    return ActionResult({"modelImportJobSummaries": found})


def _model(response: Any) -> ImportJob:
    wanted = _segment(response, 2)
    for job in _jobs(response.bedrock_backend):
        if job.has_model and wanted in (job.model_arn, job.request["importedModelName"]):
            return job
    raise BedrockClientError("ResourceNotFoundException", f"there is no imported model {wanted}")


def _get_model(response: Any) -> ActionResult:
    job = _model(response)
    own = {"modelArn": job.model_arn, "modelName": job.request["importedModelName"], "creationTime": job.created}
    return ActionResult({**own, "jobArn": job.arn, "jobName": job.request["jobName"]})


def _delete_model(response: Any) -> ActionResult:
    _model(response).deleted = True
    return EmptyResult()


def _registered(response: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = response.bedrock_backend.__dict__.setdefault("embedded_marketplace", {})
    return found


def _register(response: Any) -> ActionResult:
    backend, arn = response.bedrock_backend, _segment(response, 3)
    endpoints = sagemaker_backends[backend.account_id][backend.region_name].endpoints
    found = next((endpoint for endpoint in endpoints.values() if endpoint.arn == arn), None)
    if found is None:
        raise BedrockClientError("ResourceNotFoundException", f"there is no endpoint {arn}")
    model, sagemaker = _served(backend, found)
    fault = "" if model.enable_network_isolation else "network isolation is not enabled"
    _registered(response)[arn] = {
        "endpointArn": arn,
        "modelSourceIdentifier": json.loads(response.body)["modelSourceIdentifier"],
        "status": "INCOMPATIBLE_ENDPOINT" if fault else "REGISTERED",
        **({"statusMessage": fault} if fault else {}),
        "createdAt": utcnow(),
        "updatedAt": utcnow(),
        "endpointConfig": {"sageMaker": sagemaker},
        "endpointStatus": found.endpoint_status,
    }
    return _marketplace(response)


_moto_create_model = SageMakerResponse.create_model


def create_sagemaker_model(response: Any) -> ActionResult:
    """Do as moto does, and keep what it forgets: whether the model is in network isolation."""
    made = _moto_create_model(response)
    model = response.sagemaker_backend._models[response._get_param("ModelName")]
    model.enable_network_isolation = bool(response._get_param("EnableNetworkIsolation"))
    return made


def _served(backend: BedrockBackend, endpoint: Any) -> tuple[Any, dict[str, Any]]:
    """Return the SageMaker model of an endpoint's first variant, and how Bedrock describes the endpoint."""
    sagemaker = sagemaker_backends[backend.account_id][backend.region_name]
    variant = sagemaker.endpoint_configs[endpoint.endpoint_config_name].production_variants[0]
    model = sagemaker._models[variant["ModelName"]]
    size = {"initialInstanceCount": variant["InitialInstanceCount"], "instanceType": variant["InstanceType"]}
    return model, {**size, "executionRole": model.execution_role_arn}


def _marketplace(response: Any) -> ActionResult:
    arn = _segment(response, 3)
    if arn not in _registered(response):
        raise BedrockClientError("ResourceNotFoundException", f"{arn} is not registered")
    return ActionResult({"marketplaceModelEndpoint": _registered(response)[arn]})


def _deregister(response: Any) -> ActionResult:
    _marketplace(response)
    del _registered(response)[_segment(response, 3)]
    return EmptyResult()


ACTIONS: dict[str, Callable[[Any], ActionResult]] = {
    "create_model_import_job": _create_job,
    "get_model_import_job": _get_job,
    "list_model_import_jobs": _list_jobs,
    "get_imported_model": _get_model,
    "delete_imported_model": _delete_model,
    "register_marketplace_model_endpoint": _register,
    "get_marketplace_model_endpoint": _marketplace,
    "deregister_marketplace_model_endpoint": _deregister,
}
"""Map the names by which moto's Bedrock dispatches to what answers."""
