"""Kubeflow Pipelines, over its REST API (v2beta1)."""
