"""Reading files: records, registries, packs; text, CSV, JSON, YAML, XLSX."""
