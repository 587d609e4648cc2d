"""What clients speak: TF Serving's API and KServe's V2, over REST and gRPC."""
