# The server for a machine without GPU. `docker build -t hoshikage:cpu .` needs BuildKit (Docker >= 23) or podman.
# llama.cpp is compiled from source: 10 minutes on two cores, unless `wheels/` holds a ready llama_cpp_python wheel.

FROM python:3.11-slim-bookworm AS build

# An image travels, so it is not tuned to the CPU that builds it. GGML_NATIVE=OFF compiles for SSE4.2, AVX, AVX2, FMA,
# F16C and BMI2 (Intel since Haswell 2013, AMD since Excavator 2015). For the machine at hand, with whatever it has:
#   docker build --build-arg CMAKE_ARGS=-DGGML_NATIVE=ON -t hoshikage:cpu .
# For an older CPU add -DGGML_AVX2=OFF -DGGML_FMA=OFF -DGGML_F16C=OFF -DGGML_BMI2=OFF to GGML_NATIVE=OFF.
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF"

RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential cmake ninja-build \
 && rm -rf /var/lib/apt/lists/*

RUN python -m venv /opt/hoshikage
ENV PATH=/opt/hoshikage/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1

# Extras of pyproject.toml, with a space between them. `memory` is long-term memory; torch comes with it, and PyPI's is for
# GPUs and takes gigabytes, so name the index of those for CPUs:
#   docker build --build-arg EXTRAS=memory --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu …
ARG EXTRAS=""
ARG PIP_EXTRA_INDEX_URL=""

# Dependencies first, from pyproject.toml alone: a change of the sources then compiles nothing.
WORKDIR /src
COPY pyproject.toml ./
RUN python -c "import os, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
more = [need for extra in os.environ['EXTRAS'].split() for need in project['optional-dependencies'][extra]]; \
print(*project['dependencies'], *more, sep='\n')" > /requirements.txt
# pip's cache knows a built wheel by its version and not by CMAKE_ARGS, hence one cache folder for each value of them.
# --prefer-binary: a wheel in wheels/ is taken even when PyPI has a newer source archive.
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,source=wheels,target=/wheels \
    cache=$(python -c 'import os, zlib; print(zlib.crc32(os.environ["CMAKE_ARGS"].encode()))') \
 && pip install --cache-dir "/root/.cache/pip/$cache" --prefer-binary --find-links /wheels -r /requirements.txt

COPY hatch_build.py LICENSE README.md ./
COPY src ./src
COPY core ./core
COPY plugins ./plugins
COPY config ./config
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps .


FROM python:3.11-slim-bookworm

# llama.cpp's threads
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/*

# Created and owned here because a new named volume takes over the owner of the folder that it is mounted on.
RUN groupadd --gid 10001 hoshikage \
 && useradd --no-log-init --uid 10001 --gid 10001 --home-dir /app/data --no-create-home --shell /usr/sbin/nologin hoshikage \
 && install -d -o 10001 -g 10001 /app/data /models

COPY --from=build /opt/hoshikage /opt/hoshikage
WORKDIR /app
COPY settings.toml ./

# 0.0.0.0 is the container's own interface; what reaches it is decided where the port is published.
ENV PATH=/opt/hoshikage/bin:$PATH \
    HOME=/app/data \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOSHIKAGE_ENV=production \
    HOSHIKAGE_PROJECT_DIR=/app \
    HOSHIKAGE_DATA_DIR=/app/data \
    HOSHIKAGE_SERVER__HOST=0.0.0.0

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 CMD ["hoshikage", "healthcheck"]
CMD ["hoshikage", "serve"]
