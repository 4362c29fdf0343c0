# The server alone:           docker build -t penstock .
# Together with a database:   see docs/compose.yaml

FROM rust:1.95-bookworm AS build
WORKDIR /build

# The dependencies first, under an empty program: this layer lasts until Cargo.toml or Cargo.lock change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it benches/hot_paths \
 && for program in src/main.rs tests/it/main.rs benches/hot_paths/main.rs; do echo 'fn main() {}' >"$program"; done \
 && touch src/lib.rs \
 && cargo build --release --locked \
 && rm -rf src tests benches

COPY . .
# New times, or cargo takes the empty program for up to date.
RUN find src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked \
 && strip --strip-debug target/release/penstock

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/penstock penstock \
 && install -d -o penstock -g penstock -m 0700 /var/lib/penstock
COPY --from=build /build/target/release/penstock /usr/local/bin/penstock
# The roots for sslmode=verify-full where no file is named.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY LICENSE /usr/share/doc/penstock/LICENSE
USER 10001:10001
# Inside a container the loopback address would be out of everybody's reach.
ENV PENSTOCK_LISTEN=0.0.0.0:8080 \
    PENSTOCK_DATA_DIR=/var/lib/penstock
VOLUME ["/var/lib/penstock"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["penstock", "health"]
ENTRYPOINT ["penstock"]
CMD ["serve"]
