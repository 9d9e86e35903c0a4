"""kubeinstall: a real Kubernetes cluster from its parts, on hosts reached over SSH."""

__version__ = "0.1.0"
