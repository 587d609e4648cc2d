# The image of a component's Beam workers on other machines, as on Dataflow, Flink or Spark: the
# component's own image and the program by which Beam's runners start a worker.
# docker-bake.hcl supplies `darkroom-component`; the version is that of apache-beam in uv.lock.
FROM apache/beam_python3.11_sdk:2.77.0 AS beam

FROM darkroom-component
# Dataflow mounts folders that only root can write (a worker of it has a machine to itself).
# hadolint ignore=DL3002
USER 0
COPY --from=beam /opt/apache/beam /opt/apache/beam
# It asks pip whether Beam is installed, and would otherwise make an environment without ours.
RUN python -m ensurepip
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]
