#!/usr/bin/env python3
"""Writes a value to each store through one nginx pod, and reads it back through another and at every host's address.

    .venv/bin/python examples/two-services/check.py [-i INVENTORY]

pymongo and redis, which it needs, come with the development packages. Exits with 1 where a value does not come back.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pymongo
import pymongo.errors
import redis

from kubeinstall import access
from kubeinstall.cli_support import DEFAULT_INVENTORY, load_cluster
from kubeinstall.cluster import Cluster
from kubeinstall.errors import KubeinstallError

NAMESPACE = "two-services"
TIMEOUT = 5


def redis_client(host: str, port: int) -> redis.Redis:
    return redis.Redis(host=host, port=port, socket_timeout=TIMEOUT, decode_responses=True)


def redis_write(host: str, port: int, value: str) -> None:
    with redis_client(host, port) as client:
        client.set("checked", value)


def redis_read(host: str, port: int) -> str:
    with redis_client(host, port) as client:
        return str(client.get("checked") or "nothing")


@contextlib.contextmanager
def mongo_documents(host: str, port: int) -> Iterator[pymongo.collection.Collection[dict[str, str]]]:
    milliseconds = TIMEOUT * 1000
    with pymongo.MongoClient(
        host, port, directConnection=True, serverSelectionTimeoutMS=milliseconds, socketTimeoutMS=milliseconds
    ) as client:
        yield client["example"]["checked"]


def mongo_write(host: str, port: int, value: str) -> None:
    with mongo_documents(host, port) as documents:
        documents.replace_one({"_id": "checked"}, {"_id": "checked", "value": value}, upsert=True)


def mongo_read(host: str, port: int) -> str:
    with mongo_documents(host, port) as documents:
        return (documents.find_one({"_id": "checked"}) or {}).get("value", "nothing")


@dataclass(frozen=True)
class Service:
    name: str
    port: int
    node_port: int
    write: Callable[[str, int, str], None]
    read: Callable[[str, int], str]


SERVICES = (
    Service("redis-web", 6379, 30379, redis_write, redis_read),
    Service("mongo-web", 27017, 30017, mongo_write, mongo_read),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write values through one pod and read them through the others.")
    inventory = Path(os.environ.get("KUBEINSTALL_INVENTORY") or DEFAULT_INVENTORY)
    parser.add_argument("-i", "--inventory", type=Path, default=inventory, help="the cluster's inventory")
    try:
        cluster = load_cluster(parser.parse_args().inventory)
        problems = [problem for service in SERVICES for problem in check(cluster, service)]
    except KubeinstallError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def check(cluster: Cluster, service: Service) -> Iterator[str]:
    """What is wrong with one service; what went well is printed."""
    config = access.kubeconfig(cluster).path
    kubectl = [str(access.kubectl(cluster)), f"--kubeconfig={config}", f"--namespace={NAMESPACE}"]
    command = [*kubectl, "get", "pods", "-o", "json", f"--selector=app={service.name}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    pods = json.loads(listed.stdout)["items"] if listed.returncode == 0 else []
    if len(pods) < 2:
        yield f"{service.name}: {len(pods)} pods are there, and two are needed. {listed.stderr.strip()}"
        return
    value = secrets.token_hex(8)
    hosts = sorted({pod["spec"]["nodeName"] for pod in pods})
    names = [pod["metadata"]["name"] for pod in pods]
    try:
        with forwarded(kubectl, names[0], service.port) as port:
            service.write("127.0.0.1", port, value)
        print(f"{service.name}: {value} written through the pod {names[0]} (its pods are on {', '.join(hosts)})")
        for name in names[1:]:
            with forwarded(kubectl, name, service.port) as port:
                yield from differs(service, f"the pod {name}", value, service.read("127.0.0.1", port))
        for node in cluster.nodes:
            read = service.read(node.address, service.node_port)
            yield from differs(service, f"{node.name}, {node.address}:{service.node_port}", value, read)
    except (OSError, pymongo.errors.PyMongoError, redis.RedisError) as error:
        yield f"{service.name}: {error}"


def differs(service: Service, through: str, written: str, read: str) -> Iterator[str]:
    if read != written:
        yield f"{service.name}: {read} was read through {through}, and {written} was written"
    else:
        print(f"{service.name}: {read} read through {through}")


@contextlib.contextmanager
def forwarded(kubectl: list[str], pod: str, port: int) -> Iterator[int]:
    """A port of this machine that leads to one pod, whichever the service would have chosen."""
    command = [*kubectl, "port-forward", f"pod/{pod}", f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            # It says where it listens once it does; ended, it says nothing.
            match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline() if process.stdout else "")
            if match is None:
                raise OSError(f"no way to the pod {pod}: {process.communicate()[1].strip()}")
            yield int(match[1])
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
