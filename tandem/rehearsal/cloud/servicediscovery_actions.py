"""Cloud Map's registration, which moto adds to what is there where AWS replaces it."""

from __future__ import annotations

from moto.servicediscovery.models import ServiceDiscoveryBackend


def register_instance(
    self: ServiceDiscoveryBackend,
    service_id: str,
    instance_id: str,
    creator_request_id: str,
    attributes: dict[str, str],
) -> str:
    """Register an instance, in the place of the one that has its id already; return the operation's id."""
    service = self.get_service(service_id)
    service.instances = [each for each in service.instances if each.instance_id != instance_id]
    return _moto_register(self, service_id, instance_id, creator_request_id, attributes)


_moto_register = ServiceDiscoveryBackend.register_instance
