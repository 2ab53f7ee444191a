"""Reads what pip-audit found: a known vulnerability is a failure, an answer that did not come is a warning."""

import json
import sys
from pathlib import Path


def main(report: Path) -> int:
    """The exit code, after a line for each vulnerability and for what could not be audited."""
    try:
        packages = [p for p in json.loads(report.read_text(encoding="utf-8"))["dependencies"] if p["name"] != "evocall"]
    except ValueError:
        print("WARNING: pip-audit gave no report, so nothing is known about vulnerabilities")
        return 0
    found = [(package, vulnerability) for package in packages for vulnerability in package.get("vulns", [])]
    for package, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "nothing yet"
        print(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown:
        print(f"WARNING: the advisory database did not answer about {', '.join(unknown)}")
    print(f"audited: {len(packages) - len(unknown)} of {len(packages)} packages, {len(found)} known vulnerabilities")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
