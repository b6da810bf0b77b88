# Workers, API and jobs that serve: Python and what they import, nothing else (no torch, no compiler, no root).
# Training needs the packages of requirements/gpu.txt and is not run from this image.
FROM python:3.11-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/simpersona
COPY requirements/serve.txt /build/requirements/serve.txt
RUN /opt/simpersona/bin/pip install --no-deps --require-hashes -r /build/requirements/serve.txt
COPY pyproject.toml README.md LICENSE /build/
COPY feature_store /build/feature_store
COPY inference /build/inference
COPY streams /build/streams
COPY training /build/training
COPY ops /build/ops
COPY clients/browser /build/clients/browser
RUN /opt/simpersona/bin/pip install --no-deps /build

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home simpersona && install -d -o simpersona /data /var/cache/simpersona
COPY --from=packages /opt/simpersona /opt/simpersona
ENV PATH=/opt/simpersona/bin:$PATH SIMPERSONA_HOME=/data PYTHONUNBUFFERED=1
# The fold is compiled at a container's first start. Its cache is pickled code, so it is a volume of each container's
# own: in /data, whoever takes one container could run code in the others.
ENV NUMBA_CACHE_DIR=/var/cache/simpersona/numba
USER simpersona
WORKDIR /data
VOLUME ["/data", "/var/cache/simpersona"]
ENTRYPOINT ["simpersona"]
CMD ["worker"]
