"""Four Grafana dashboards as code, for development: ``.venv/bin/python -m deploy.dashboards`` writes ``deploy/grafana/dashboards/*.json``.

``city``, ``enterprises``, ``enforcement`` and ``pipeline`` are a dashboard each, read from top to bottom as it stands on the screen; ``queries`` makes
what they ask Prometheus, ``panels`` the panels, ``boards`` the dashboards around them, ``clauses`` what the documents say. Grafana's Foundation SDK,
which all of them use, is installed for tests only: nothing that runs imports this package.
"""
