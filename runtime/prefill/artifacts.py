"""Keep compiled artifacts (NEFF) in the bucket, once for each (model, shape, SDK), and on the host's own disk.

vLLM on Neuron looks for them in ``$VLLM_CACHE_ROOT/neuron/compile_cache`` and knows no S3 (aws-neuron-sdk, vllm-neuron
compilation cache, 22 Jun 2026). In the bucket, a set consists of files under a name of their own and a manifest, which
is written last and only where there is none: whoever reads it has a whole set, and of two writers one prevails.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from runtime.handoff import settings
from runtime.prefill.bucket import Bucket, Item, Stored
from runtime.prefill.claim import Claim
from runtime.prefill.fetch import FetchError, fetch
from runtime.prefill.local import local_folder
from runtime.prefill.upload import upload

CACHE_ROOT: Final = "VLLM_CACHE_ROOT"
"""vLLM's own: the folder of its caches."""
_CACHE: Final = "neuron/compile_cache"
_MANIFEST: Final = "manifest.json"
_CLAIM: Final = "claim.json"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Name one set of artifacts in the bucket, and the folder that vLLM keeps its own caches in."""

    bucket: Bucket
    root: Path
    versions: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str], versions: Mapping[str, str]) -> Artifacts:
        """Take the place that the task names, and below it that of this very SDK; raise ``SettingError``."""
        sdk = hashlib.sha256(json.dumps(versions, sort_keys=True).encode()).hexdigest()[:16]
        bucket = Bucket.of(f"{settings.required(environment, settings.ARTIFACTS)}/{sdk}", environment)
        return cls(bucket, local_folder(environment, "vllm", bucket.prefix), versions)

    @property
    def cache(self) -> Path:
        """Where vLLM keeps what it compiled."""
        return self.root / _CACHE

    def claim(self) -> Claim:
        """Return a new contender for the right to compile this set."""
        return Claim(Item(self.bucket, _CLAIM))

    def entries(self) -> frozenset[str]:
        """Return the names of the graphs on disk; vLLM makes a folder for each when it begins to compile it."""
        return frozenset(path.name for path in self.cache.iterdir()) if self.cache.is_dir() else frozenset()

    def fetch(self, say: Callable[[str], None], *, pause: float = 1.0) -> bool:
        """Bring the set onto disk; return whether there is one.

        Raises ``FetchError``, ``BucketError`` and ``CredentialsError``.
        """
        found = self.bucket.read(_MANIFEST)
        if found is None:
            return False
        prefix, wanted = _read(found[0])
        fetch(self.bucket, wanted, self.cache, prefix, lambda text: say(f"artifacts: {text}"), pause=pause)
        return True

    def publish(self, held: Callable[[], bool], say: Callable[[str], None], *, pause: float = 1.0) -> bool:
        """Upload what vLLM compiled, as long as ``held``; return whether the bucket has a set now.

        Raises ``BucketError``, ``CredentialsError`` and ``OSError``.
        """
        files = [path for path in sorted(self.cache.rglob("*")) if path.is_file() and path.suffix != _LOCK]
        prefix = f"{self.bucket.prefix}/sets/{uuid.uuid4().hex}"
        stored = []
        for file in files:
            if not held():
                say("artifacts: another worker has taken over: this one's artifacts stay here")
                return False
            stored.append(upload(self.bucket, file, f"{prefix}/{file.relative_to(self.cache)}", pause=pause))
        if not stored:
            say(f"artifacts: vLLM left nothing in {self.cache}: nothing is published")
            return False
        manifest = {"prefix": prefix, "versions": self.versions, "files": [asdict(one) for one in stored]}
        first = self.bucket.write(_MANIFEST, json.dumps(manifest).encode()) is not None
        outcome = "in the bucket" if first else "in the bucket already, by another worker"
        say(f"artifacts: {len(stored)} files, {sum(one.size for one in stored) / 1e9:.2f} GB, are {outcome}")
        return True


def _read(manifest: bytes) -> tuple[str, list[Stored]]:
    try:
        content = json.loads(manifest)
        return str(content["prefix"]), [Stored(**file) for file in content["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"the manifest of compiled artifacts is unreadable: {error}: delete it") from error
