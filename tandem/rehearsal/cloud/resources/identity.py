"""IAM and KMS: what moto's models cannot delete."""

from __future__ import annotations

from tandem.rehearsal.cloud.resource import MotoResource


class ManagedPolicy(MotoResource):
    """A managed policy; it is taken from its roles, users and groups before it goes."""

    type = "AWS::IAM::ManagedPolicy"

    def delete(self) -> None:  # noqa: D102 - said by Resource
        policy = {"PolicyArn": self.physical_resource_id}
        holders = self.call("iam", "list_entities_for_policy", policy)
        for kind in ("Role", "User", "Group"):
            for holder in holders[f"Policy{kind}s"]:
                one = {f"{kind}Name": holder[f"{kind}Name"], **policy}
                self.call("iam", f"detach_{kind.lower()}_policy", one)
        self.call("iam", "delete_policy", policy)
