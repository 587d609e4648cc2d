"""What a config says of its cluster: images, machines, pods, accounts."""
