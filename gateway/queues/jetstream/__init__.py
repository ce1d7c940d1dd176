"""The streams and consumers of JetStream as files that `nats stream add --config` takes too."""
