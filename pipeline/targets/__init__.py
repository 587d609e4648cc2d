"""The places to run a pipeline: this machine, Kubeflow, Vertex."""
