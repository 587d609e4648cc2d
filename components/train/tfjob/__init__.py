"""Training on several machines of a Kubernetes cluster: a TFJob, started and watched by a step."""
