"""Policy packs for officials: what one asks, what applies where and when, whether a vehicle may be there; a new one."""
