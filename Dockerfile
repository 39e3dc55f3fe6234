# syntax=docker/dockerfile:1
# One image for gateways and nodes, with and without a GPU: `docker build -t tryon .`

FROM rust:1.95.0-bookworm AS build
# The image's own toolchain: rust-toolchain.toml would have rustup fetch clippy and rustfmt besides.
ENV RUSTUP_TOOLCHAIN=1.95.0 CARGO_TARGET_DIR=/target
WORKDIR /src
COPY . .
# What a node says at `/version`.
ARG TRYON_GIT_COMMIT=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    TRYON_GIT_COMMIT="$TRYON_GIT_COMMIT" cargo build --release --locked --package tryon \
    && install -D /target/release/tryon /out/tryon

FROM debian:bookworm-slim
ARG TRYON_GIT_COMMIT=unknown
LABEL org.opencontainers.image.title="tryon" \
      org.opencontainers.image.description="A self-hosted virtual try-on platform" \
      org.opencontainers.image.source="https://github.com/tryon-rs/tryon" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="$TRYON_GIT_COMMIT"
# Certificates, for pictures, webhooks and buckets behind HTTPS, are all that the binary needs. They
# are to be the newest ones, so they are not pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/tryon --create-home tryon
COPY --from=build /out/tryon /usr/local/bin/tryon
COPY --chmod=755 deploy/probe /usr/local/bin/tryon-probe
# A container that listens on its own loopback alone cannot be reached at all. The GPU's driver comes
# from the machine, with what computes and what measures. Which GPUs, is for `--gpus` or Kubernetes to
# say: named here, every container would see all of them.
ENV TRYON_HOST=0.0.0.0 NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /var/lib/tryon
VOLUME /var/lib/tryon
# Clients, nodes that report, gateways that give work. Which of them answers depends on the command:
# there is no HEALTHCHECK that fits all, and whoever starts a container names one (`tryon-probe`).
EXPOSE 8080 8081 8000
ENTRYPOINT ["tryon"]
CMD ["serve"]
