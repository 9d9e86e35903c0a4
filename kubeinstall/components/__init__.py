"""The programs a cluster is made of: which there are, where they come from, and the cache they are kept in.

catalogue   components, versions, digests, addresses, modules (the data is catalogue.yml)
store       the cache on disk
pins        the digests that a cluster keeps beside its inventory
download    upstream's release files
build       `go build` from the modules of components/
sources     the order of the above, and `fetch`
progress    how all of it tells what it is doing
"""

from kubeinstall.components.build import find_toolchain
from kubeinstall.components.catalogue import Catalogue, architectures, machine_architecture
from kubeinstall.components.pins import Pins
from kubeinstall.components.progress import Progress, Silent
from kubeinstall.components.sources import BUILD, MIRROR, RELEASE, Source, fetch, in_order
from kubeinstall.components.store import File, Store

__all__ = [
    "BUILD",
    "MIRROR",
    "RELEASE",
    "Catalogue",
    "File",
    "Pins",
    "Progress",
    "Silent",
    "Source",
    "Store",
    "architectures",
    "fetch",
    "find_toolchain",
    "in_order",
    "machine_architecture",
]
