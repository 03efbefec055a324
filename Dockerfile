# syntax=docker/dockerfile:1

# One static binary, and no other program: no shell, no package manager.
FROM golang:1.26.8 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-trimpath
# The tree is mounted, not copied, with .git: the binary knows its commit. A tree without a whole .git (an archive, a
# worktree of git) builds too, without a commit.
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    git rev-parse --quiet --verify HEAD >/dev/null 2>&1 || export GOFLAGS="$GOFLAGS -buildvcs=false"; \
    go build -ldflags="-s -w" -o /out/app ./app && mkdir /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/app /usr/local/bin/app
# A volume mounted here belongs to the user of the process.
COPY --from=build --chown=65532:65532 /out/data /var/lib/millrace
USER 65532:65532
ENTRYPOINT ["app"]
# Asks the process in this container, at the address in the configuration. A process that was ready and waits for Kafka
# or the store is healthy: a restart would not help.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["app", "health", "--waiting"]
