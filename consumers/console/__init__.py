"""The console: the city's vehicles, zones, incidents and rates on a live map, in a browser."""
