# Builds a wheel, installs it beside a torch for CUDA, and runs the server as a user without rights.
#
#   docker build -t unmask .
#   docker run --gpus all -p 8000:8000 -v /models/my-checkpoint:/model:ro unmask serve /model
#
# Compiled kernels are all that is written, to /tmp. A read-only root needs it as a file system from
# which they can be loaded: --read-only --tmpfs /tmp:exec --cap-drop ALL
ARG CUDA=13.0.1
ARG UBUNTU=24.04

FROM ubuntu:${UBUNTU} AS builder
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir 'hatchling>=1.27'
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY server server
COPY kernels kernels
RUN /opt/build/bin/hatchling build -t wheel -d /dist

FROM nvidia/cuda:${CUDA}-base-ubuntu${UBUNTU}
# Triton compiles its launchers with a C compiler when a kernel is first used.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-dev python3-venv gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/constraints.txt
RUN python3 -m venv /opt/unmask \
    && /opt/unmask/bin/pip install --no-cache-dir torch==2.13.0 -c /tmp/constraints.txt
COPY --from=builder /dist /tmp/dist
RUN wheel=$(echo /tmp/dist/*.whl) \
    && /opt/unmask/bin/pip install --no-cache-dir "${wheel}[otel]" -c /tmp/constraints.txt \
    && rm -r /tmp/dist /tmp/constraints.txt

# A volume that is mounted on the hub's cache gets its owner.
RUN useradd --create-home --uid 10001 unmask \
    && install -d -o unmask -g unmask /home/unmask/.cache /home/unmask/.cache/huggingface
USER 10001:10001
WORKDIR /home/unmask
ENV PATH=/opt/unmask/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/home/unmask/.cache/huggingface \
    XDG_CACHE_HOME=/tmp/cache \
    TRITON_CACHE_DIR=/tmp/cache/triton \
    HF_HUB_OFFLINE=1 \
    UNMASK_SERVER_HOST=0.0.0.0 \
    UNMASK_SERVER_LOG_FORMAT=json
EXPOSE 8000
# urllib would ask the proxy that Docker's configuration may set in every container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5m --retries=3 \
    CMD ["python", "-c", "import sys, http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=2); c.request('GET', '/health/ready'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["unmask"]
CMD ["serve"]
