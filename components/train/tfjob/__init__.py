"""Training on several machines of a Kubernetes cluster: a step that starts a TFJob and waits."""
