# Every image of Skewless. `make images` prepares the build context (wheels, requirements, programs: nothing is
# downloaded here) and builds each component as a stage of its name; see docs/operations/images.md.

# Any Debian with Python 3.11. Of it, images keep the interpreter and its libraries; see strip_base.py.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
# What the image is made of: python, valkey, kafka or postgres.
ARG CONTENT=python
# For Python, the third-party layers that several images share: plain, arrow or lake.
ARG FLOOR=plain

# --- Root file system -------------------------------------------------------------------------------------------

FROM ${BASE} AS os
USER 0:0

FROM os AS stripped
COPY inside/strip_base.py /build/
RUN ["python3", "/build/strip_base.py"]

# One layer instead of those of BASE, so that what was stripped is not shipped either.
FROM scratch AS root
COPY --from=stripped / /
ENV PATH=/opt/skewless/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 PYTHONUNBUFFERED=1
WORKDIR /
USER 65532:65532

# --- Python: installed in one place, copied layer by layer --------------------------------------------------------

FROM os AS install-shared
COPY inside/install.py /build/
COPY pip/ /build/pip/
COPY requirements/shared.txt /build/requirements/
COPY wheels/shared/ /build/wheels/shared/
RUN ["python3", "/build/install.py", "shared"]

FROM install-shared AS install-kernel
COPY requirements/kernel.txt /build/requirements/
COPY wheels/kernel/ /build/wheels/kernel/
RUN ["python3", "/build/install.py", "kernel"]

FROM install-shared AS install-arrow
COPY requirements/arrow.txt /build/requirements/
COPY wheels/arrow/ /build/wheels/arrow/
RUN ["python3", "/build/install.py", "arrow"]

FROM install-shared AS install-lake
COPY requirements/lake.txt /build/requirements/
COPY wheels/lake/ /build/wheels/lake/
RUN ["python3", "/build/install.py", "lake"]

FROM install-shared AS install-product
COPY requirements/product.txt /build/requirements/
COPY wheels/product/ /build/wheels/product/
RUN ["python3", "/build/install.py", "product"]

FROM install-shared AS install-own
ARG SERVICE
COPY requirements/${SERVICE}.txt /build/requirements/own.txt
COPY wheels/${SERVICE}/ /build/wheels/own/
RUN ["python3", "/build/install.py", "own"]

FROM root AS plain
COPY --from=install-shared /layers/shared/ /
COPY --from=install-kernel /layers/kernel/ /

FROM plain AS arrow
COPY --from=install-arrow /layers/arrow/ /

FROM arrow AS lake
COPY --from=install-lake /layers/lake/ /

FROM ${FLOOR} AS python
COPY --from=install-own /layers/own/ /
COPY --from=install-product /layers/product/ /

# --- For trials: one node each of what an installation brings itself ----------------------------------------------

FROM root AS valkey
COPY trees/trial-valkey/ /

FROM scratch AS kafka
COPY trees/trial-kafka/ /
ENV PATH=/opt/skewless/bin HOME=/tmp
WORKDIR /
USER 65532:65532

# initdb starts the server through a shell.
FROM root AS postgres
COPY --from=os /usr/bin/dash /usr/bin/sh
COPY trees/trial-postgres/ /
ENV PGDATA=/data/postgres

# --- Bill of materials, from what is there ------------------------------------------------------------------------

FROM ${CONTENT} AS content

FROM os AS bill
ARG SERVICE
ARG VERSION
# Of all that the content is made from: what is mounted does not count for the cache.
ARG INPUTS
COPY inside/sbom.py /build/
RUN --mount=type=bind,from=content,target=/image ["python3", "/build/sbom.py", "/image", "/bill/opt/skewless/sbom.json"]

FROM content AS complete
COPY --from=bill /bill/ /

# --- Components ---------------------------------------------------------------------------------------------------

FROM complete AS registry
ENTRYPOINT ["/opt/skewless/bin/python", "-m", "services.registry.main"]

FROM complete AS online
ENTRYPOINT ["/opt/skewless/bin/python", "-m", "services.online.main"]

FROM complete AS offline
ENTRYPOINT ["/opt/skewless/bin/python", "-m", "services.offline.main"]

FROM complete AS stream-agg
ENTRYPOINT ["/opt/skewless/bin/python", "-m", "services.stream_agg.main"]

FROM complete AS validator
ENTRYPOINT ["/opt/skewless/bin/python", "-m", "services.validator.main"]

# For people and jobs in a cluster: a shell, and what `kubectl cp` needs.
FROM complete AS cli
COPY --from=os /usr/bin/cat /usr/bin/ls /usr/bin/sleep /usr/bin/tar /usr/bin/
COPY --from=os /usr/bin/dash /usr/bin/sh
ENTRYPOINT ["/opt/skewless/bin/skewless"]

FROM complete AS trial-valkey
ENTRYPOINT ["/opt/skewless/bin/valkey-server"]

FROM complete AS trial-kafka
ENTRYPOINT ["/opt/skewless/bin/skewless-broker"]

# The fast stop of PostgreSQL: SIGTERM would wait for its clients to go.
FROM complete AS trial-postgres
STOPSIGNAL SIGINT
ENTRYPOINT ["python3", "/opt/skewless/bin/start-postgres"]
