# Stands in for the official image where no registry is reached: the same user, folder and programs.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* && \
    install -d -o redis -g redis /data
WORKDIR /data
CMD ["redis-server"]
