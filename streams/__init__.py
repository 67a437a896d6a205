"""The judging side: a pure core (engine, rules, incidents, rates) inside a thin Faust shell (app)."""
