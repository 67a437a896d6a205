"""What the console knows of a city: incidents, rates, zones, the registry's figures. Pure."""
