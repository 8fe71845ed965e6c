"""Install and start what the gateway is measured against, each as its own documentation says for two legs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CACHE: Final = Path(".bench-gateway")
"""Programs that the benchmark builds and installs."""
INSTALL_SECONDS: Final = 900
HOST: Final = "http://127.0.0.1"

Command = Callable[[Path, int, int], Sequence[str]]
"""Return the command line for a folder of its own, the port to listen on, and the peers' first port."""


class AbsentError(Exception):
    """Tell why a relay cannot be measured here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """Name a relay, what pip installs for it into an environment of its own, and how it is started."""

    name: str
    command: Command
    packages: tuple[str, ...] = ()
    program: str | None = None

    def install(self) -> Path:
        """Return its folder, made the first time; raise ``AbsentError``."""
        if self.program and not shutil.which(self.program):
            raise AbsentError(f"{self.program} is not on PATH")
        folder = (CACHE / self.name.replace(" ", "-")).absolute()
        ready = folder / ".ready"
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            if self.packages:
                _run([sys.executable, "-m", "venv", str(folder)])
                _run([str(folder / "bin/pip"), "install", "--quiet", *self.packages])
            ready.touch()
        return folder


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        raise AbsentError(f"it cannot be installed: {error.stderr.strip()[-100:]}") from error
    except subprocess.TimeoutExpired as error:
        raise AbsentError(f"it was not installed within {INSTALL_SECONDS} s") from error


def _nginx(folder: Path, port: int, peers: int) -> list[str]:
    """Write a configuration that relays bytes as they come, over kept connections."""
    (folder / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream peer {{ server 127.0.0.1:{peers}; keepalive 512; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://peer; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""
    )
    return ["nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def _router(module: str, switch: str) -> Command:
    def command(folder: Path, port: int, peers: int) -> list[str]:
        legs = ["--prefill", f"{HOST}:{peers + 1}", "--decode", f"{HOST}:{peers}"]
        own = [
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--policy",
            "round_robin",
            "--prometheus-port",
            str(port + 50),
        ]
        return [str(folder / "bin/python"), "-m", module, switch, *legs, *own, "--policy", "round_robin"]

    return command


def _fastapi(folder: Path, port: int, peers: int) -> list[str]:
    proxy = Path(__file__).with_name("fastapi_httpx.py")
    return [str(folder / "bin/python"), str(proxy), str(port), str(peers)]


def _litellm(folder: Path, port: int, peers: int) -> list[str]:
    (folder / "litellm.yaml").write_text(
        "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: x, "
        f"api_base: '{HOST}:{peers}/v1'}}}}]\n"
    )
    return [
        str(folder / "bin/litellm"),
        "--config",
        str(folder / "litellm.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]


def ours(provider: str, python: str = sys.executable) -> Relay:
    """Return the gateway with a provider, run by a Python that has what its image has."""

    def command(_: Path, port: int, peers: int) -> list[str]:
        return [python, "-m", "benchmarks.gateway.ours", str(port), str(peers), provider]

    return Relay(name=f"Tandem, {provider} provider", command=command)


OTHERS: Final = (
    Relay(name="nginx, one leg", command=_nginx, program="nginx"),
    Relay(
        name="vllm-router PD",
        command=_router("vllm_router.launch_router", "--vllm-pd-disaggregation"),
        packages=("vllm-router==0.1.17",),
    ),
    Relay(
        name="sglang-router PD",
        command=_router("sglang_router.launch_router", "--pd-disaggregation"),
        packages=("sglang-router==0.3.2",),
    ),
    Relay(name="FastAPI + httpx", command=_fastapi, packages=("fastapi", "httpx", "uvicorn[standard]")),
    Relay(name="LiteLLM, one leg", command=_litellm, packages=("litellm[proxy]",)),
)


def environment() -> dict[str, str]:
    """Return the environment of relays: loopback alone, no telemetry."""
    litellm = {
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it has no key here
    }
    return {**os.environ, "NO_PROXY": "*", **litellm}
