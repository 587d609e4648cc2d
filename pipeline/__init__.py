"""The graph, and the ways to run it: here, on Kubeflow, on Vertex."""
