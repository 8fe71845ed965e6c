"""The endpoint says which contract it speaks, for which model."""

from __future__ import annotations

from runtime.handoff import contract
from tandem.conformance.parties import Parties, require


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless capabilities name version 1, and the model with its size."""
    answer = await parties.ask("GET", contract.CAPABILITIES)
    answer.require_status(200)
    require(isinstance(answer.body, dict), "capabilities are no JSON object")
    version = answer.body.get("contract")
    require(version == contract.VERSION, f"contract is {version!r}, examined is {contract.VERSION!r}")
    models = {model.get("id"): model for model in answer.body.get("models", [])}
    require(parties.model in models, f"models are {sorted(map(str, models))}, {parties.model!r} is not among them")
    for name in ("max_model_len", "kv_bytes_per_token"):
        size = models[parties.model].get(name)
        require(isinstance(size, int) and size > 0, f"{name} is {size!r}, a positive whole number is needed")
