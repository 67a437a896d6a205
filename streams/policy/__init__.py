"""Policy packs: schema, reader, and the policy that counts at an instant."""
