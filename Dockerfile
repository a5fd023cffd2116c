# syntax=docker/dockerfile:1
# docker build --target cpu -t wave-search .
# docker build --target cuda -t wave-search:cuda .
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY wave_search wave_search
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    WAVE_SEARCH_INDEX=/index/.wave-search
# Not root: what it decodes comes from anywhere. Its number is fixed, so that folders can be given to it.
RUN useradd --uid 10001 --create-home wave && install -d -o wave -g wave /index
WORKDIR /index
COPY constraints.txt /tmp/constraints.txt
ENTRYPOINT ["wave-search"]
CMD ["--help"]

FROM base AS cuda
RUN --mount=from=wheel,source=/wheels,target=/wheels \
    pip install --only-binary :all: --constraint /tmp/constraints.txt \
    "$(echo /wheels/wave_search-*.whl)[gpu,serve,photos,scene,otio,map,quantized]"
USER wave

# The last one is what is built without --target.
FROM base AS cpu
# torch comes first: what PyPI has is built for CUDA, and takes gigabytes.
RUN pip install --only-binary :all: --no-deps --index-url https://download.pytorch.org/whl/cpu \
    "$(grep '^torch==' /tmp/constraints.txt)"
RUN --mount=from=wheel,source=/wheels,target=/wheels \
    pip install --only-binary :all: --constraint /tmp/constraints.txt \
    "$(echo /wheels/wave_search-*.whl)[cpu,serve,photos,scene,otio,map]"
USER wave
