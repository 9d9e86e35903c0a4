"""The cluster as its inventory describes it: one typed, frozen model, and every error at once, each with its place."""

from kubeinstall.cluster.model import Cluster, Host, Taint

__all__ = ["Cluster", "Host", "Taint"]
