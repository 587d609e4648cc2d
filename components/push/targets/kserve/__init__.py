"""KServe as a push target: versions in a bucket, served by an InferenceService."""

from components.push.targets.kserve.target import KServeTarget

TARGET = KServeTarget
