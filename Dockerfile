# docker build -t scorefold .            docker build -t scorefold --build-arg EXTRA=jax[cuda13] .
# docker run --rm -v "$PWD:/data" scorefold fit table.csv --out table
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN python -m pip install --no-cache-dir build && python -m build --wheel --outdir /wheels /source

FROM python:3.12-slim
ARG EXTRA=jax
COPY --from=build /wheels /wheels
RUN python -m pip install --no-cache-dir /wheels/*.whl "$EXTRA" && rm -r /wheels \
    && useradd --create-home scorefold
USER scorefold
WORKDIR /data
ENTRYPOINT ["scorefold"]
CMD ["--help"]
