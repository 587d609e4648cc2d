"""The backbones by name: networks without their top, their weights and how they scale pixels."""
