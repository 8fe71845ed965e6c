"""Say which model is served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.spec.section import Section

TokenizerUri = Annotated[
    str,
    StringConstraints(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.()-]+)*/[A-Za-z0-9!_.()-]+\.json$",
        max_length=1000,
    ),
]
WeightsUri = Annotated[
    str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.()-]+)+$", max_length=1000)
]


class Model(Section):
    """Name the model that is served."""

    id: Annotated[str, Field(min_length=1, max_length=200, description="Hugging Face id; also the public name")]
    max_model_len: Annotated[int, Field(ge=16, description="tokens of prompt and answer together")]
    kv_connector: Annotated[
        Literal["NixlConnector", "NeuronNixlConnector"],
        Field(description="vLLM's KV connector; NeuronNixlConnector for sliding windows, as gpt-oss has"),
    ] = "NixlConnector"

    weights: Annotated[
        WeightsUri | None,
        Field(
            description="a prefix in a bucket of the deployment's region that holds what the hub's repository holds; "
            "default: workers fetch from the Hugging Face hub"
        ),
    ] = None
    tokenizer: Annotated[
        TokenizerUri | None,
        Field(
            description="the model's tokenizer.json in a bucket, by which the gateway counts prompts; default: that "
            "beside the weights, and without weights prompts are estimated"
        ),
    ] = None

    @property
    def tokenizer_file(self) -> str | None:
        """Where the tokenizer is, None where the deployment has none."""
        beside = f"{self.weights}/tokenizer.json" if self.weights else None
        return self.tokenizer or beside
