# A CPU image with everything that the demo needs.
#
#   docker build -t tracer1 .
#   docker run --rm --shm-size 1g -v "$PWD:/work" tracer1 demo --quick
FROM python:3.11.7-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends chromium-headless-shell fonts-liberation fonts-dejavu-core libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/tracer1

# The largest download first: it changes least.
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0

COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY configs ./configs
COPY models ./models
COPY src ./src
RUN pip install --no-cache-dir -c constraints.txt '.[all]'

RUN useradd --create-home --uid 1000 tracer1 && mkdir /work && chown tracer1 /work
USER tracer1
WORKDIR /work

ENTRYPOINT ["tracer1"]
CMD ["--help"]
