# syntax=docker/dockerfile:1
# One static binary and nothing else, run by nobody in particular.
#
#   docker build -t doorward .
#   docker build -t doorward --build-arg BASE=gcr.io/distroless/static-debian12:debug .   # with a shell

ARG GO=1.26
# What the binary is put upon. It needs nothing of it.
ARG BASE=scratch

FROM golang:${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=${VERSION}" -o /out/usr/bin/doorward ./cmd/doorward \
 && install -d -m 0755 /out/etc/doorward /out/etc/ssl/certs \
 && install -d -m 0700 /out/var/lib/doorward \
 && install -d -m 1777 /out/tmp \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM ${BASE}
COPY --from=build /out/etc /etc
COPY --from=build /out/tmp /tmp
COPY --from=build /out/usr/bin/doorward /usr/bin/doorward
# Sessions and keys. Owned by the user below, so that a named volume is too.
COPY --from=build --chown=65532:65532 /out/var/lib/doorward /var/lib/doorward
VOLUME /var/lib/doorward
ENV STATE_DIRECTORY=/var/lib/doorward
# Loopback, the default, would be the container's own: nothing from outside would get in.
ENV DOORWARD_LISTEN_HTTP=:4180
USER 65532:65532
EXPOSE 4180
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["/usr/bin/doorward", "healthcheck"]
ENTRYPOINT ["/usr/bin/doorward"]
CMD ["serve"]
