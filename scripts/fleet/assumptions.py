"""What is not measured: numbers that others publish, and numbers that somebody has to assume. Each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

READ_ON = "2026-11-24"
"""When the sources were read."""

GIGABIT = 1e9 / 8
WINDOW = 300.0


class Plan(NamedTuple):
    """What the Hub grants in a window to all who come from one address, or to all who come with one account."""

    name: str
    api: float
    resolvers: float
    shared_by: str


PLANS: Mapping[str, Plan] = {
    "anonymous": Plan("no token", 500, 3_000, "address"),
    "free": Plan("free account", 1_000, 5_000, "account"),
    "pro": Plan("PRO account", 2_500, 12_000, "account"),
    "team": Plan("Team organization", 3_000, 20_000, "account"),
    "enterprise": Plan("Enterprise organization", 6_000, 50_000, "account"),
}
"""The Hub's own table. Of an organization every member has as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A shared store of entries. connection, bandwidth: bytes a second, of one transfer and of all. gets: requests a
    second. tries: how often its client asks in all where it is refused.
    """

    name: str
    connection: float
    bandwidth: float
    gets: float
    latency: float
    tries: int


OBJECT_STORE = Store(
    name="object store of the cloud", connection=90e6, bandwidth=120 * GIGABIT, gets=5_500, latency=0.15, tries=2
)
OWN_SERVER = Store(
    name="server of one's own",
    connection=10 * GIGABIT,
    bandwidth=10 * GIGABIT,
    gets=float("inf"),
    latency=0.01,
    tries=1,
)

HUB_LATENCY = 0.2
CDN_CONNECTION = 60e6
SLOW_EDGES = ((0.7, 8.7e6), (0.3, 68e6))
NAT_BANDWIDTH = 100 * GIGABIT
OFFICE_BANDWIDTH = 10 * GIGABIT
DOWNLINK = 5 * GIGABIT
LATENCY_SPREAD = 0.5
RESTART_PAUSES = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
STORE_FAILURES = 0.01
STRANGERS = 0.8


class Assumption(NamedTuple):
    what: str
    value: str
    source: str


_LIMITS = "[Hub rate limits](https://huggingface.co/docs/hub/rate-limits), which states them as of September 2025"
_AZURE = (
    "[Azure's targets](https://learn.microsoft.com/en-us/azure/storage/common/scalability-targets-standard-account)"
)
_S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"

ASSUMPTIONS = (
    Assumption(
        "Hub: windows and limits",
        "fixed windows of 5 minutes; in each, without a token and by address, 500 API requests and 3,000 resolver "
        "requests; with a token and by account, 1,000 and 5,000 (free), up to 6,000 and 50,000 (Enterprise)",
        _LIMITS,
    ),
    Assumption(
        "Hub: what a refusal says",
        '429 with `RateLimit: "resolvers";r=0;t=SECONDS`, the whole seconds until the window ends',
        _LIMITS,
    ),
    Assumption(
        "Hub: when windows begin",
        "all at the same instant, which a fleet knows nothing of: each figure is the median of several such instants, "
        "evenly spread over the 5 minutes",
        "assumed: it is not published",
    ),
    Assumption(
        "Hub: what counts",
        "`/api/...` in one bucket, `/resolve/...` in another; the CDN's requests in none",
        f"{_LIMITS}; that the CDN is in none is assumed, since it is another host",
    ),
    Assumption(
        "Hub and CDN: capacity",
        "no limit but those above: never slow, never down",
        "assumed, in the Hub's favour",
    ),
    Assumption(
        "CDN: one connection",
        "60 MB/s; where edges are slow, 8.7 MB/s on 70 % of them and 68 MB/s on the rest",
        "reports of users: [40 MB/s](https://github.com/huggingface/huggingface_hub/issues/2658), "
        "[500 Mbit/s](https://github.com/oobabooga/textgen/issues/2841), "
        "[8.7 or 68 MB/s](https://github.com/huggingface/xet-core/issues/821)",
    ),
    Assumption("a request to the Hub", "0.2 s, each one from half of it to one and a half", "assumed"),
    Assumption(
        "way to the internet of a fleet behind NAT",
        "100 Gbit/s for each address in a cloud; 10 Gbit/s for an office",
        "[NAT gateways of AWS](https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html): 5 Gbit/s, "
        "which grow to 100 by themselves; here they have grown; the office is assumed",
    ),
    Assumption(
        "downlink of a machine",
        "5 Gbit/s",
        "[one flow of EC2](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-network-bandwidth.html)",
    ),
    Assumption(
        "object store: requests",
        "5,500 GETs a second for what has one prefix, then 503; 0.15 s each",
        f"[S3]({_S3}/optimizing-performance.html); all that is asked for is one entry, so one prefix",
    ),
    Assumption(
        "object store: one connection",
        "90 MB/s",
        f"[S3]({_S3}/optimizing-performance-design-patterns.html): one request for each 85 to 90 MB/s that are wanted",
    ),
    Assumption(
        "object store: all connections",
        "120 Gbit/s",
        f"{_AZURE}: 120 in large regions, 50 elsewhere, more on request; S3 publishes none",
    ),
    Assumption("server of one's own", "10 Gbit/s, 0.01 s, any number of requests", "assumed: nginx, or one MinIO node"),
    Assumption(
        "who starts what has failed",
        "nobody; or a supervisor, after 10, 20, 40, 80, 160 and then every 300 s",
        "[Kubernetes](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/)",
    ),
    Assumption(
        "CI runners",
        "20 shared addresses, whose limits strangers use to 80 %",
        "that they are shared: [reports](https://github.com/llm-d/llm-d-router/issues/1527); the numbers are assumed",
    ),
)
