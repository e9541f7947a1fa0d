"""What the integration tests stand on: images, registries, daemons, clients, terminals."""
