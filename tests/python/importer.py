"""Runs `waybill import`."""

import json


def bring(server, *flags, check=True, **options):
    """Runs an import; its report."""
    result = server.cli("import", "mlflow", *flags, "--json", check=check, **options)
    return json.loads(result.stdout) if result.returncode == 0 else result
