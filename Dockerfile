# syntax=docker/dockerfile:1
# A node in a container: docker build -t pelago . && docker run -p 8080:8080/tcp -p 8080:8080/udp pelago
#
# The node keeps its identity and its state in /data, and shares /shared. compose.yaml runs three nodes.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin pelago \
    && install -D target/dist/pelago /out/pelago \
    && mkdir /out/data /out/shared

# The image has only the C library: no shell, no package manager. Its user 65532 owns no system file.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/pelago /usr/local/bin/pelago
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/shared /shared
USER 65532:65532
WORKDIR /data
ENV PELAGO_DATA_DIR=/data/node
VOLUME ["/data"]
EXPOSE 8080/tcp 8080/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --start-interval=1s CMD ["/usr/local/bin/pelago", "status"]
ENTRYPOINT ["/usr/local/bin/pelago"]
CMD ["start", "--dir", "/shared"]
