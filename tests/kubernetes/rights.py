"""Who may do what: the rules of a manifest of Roles, and which of them were used."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.objects import RefusedError

Rule = tuple[str, str, str]  # group, resource, verb


@dataclass
class Rights:
    """Rules by namespace ("" for all), as granted to one service account, and the uses made of them."""

    granted: dict[Rule, set[str]] = field(default_factory=dict)
    used: set[Rule] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, manifest: Path) -> "Rights":
        """What a manifest's bindings grant."""
        documents = [each for each in yaml.safe_load_all(manifest.read_text()) if each]
        roles = {
            (each["kind"], each["metadata"]["name"]): each["rules"]
            for each in documents
            if each["kind"] in ("Role", "ClusterRole")
        }
        rights = cls()
        for each in documents:
            if each["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
                continue
            namespace = each["metadata"].get("namespace", "")
            for rule in roles[each["roleRef"]["kind"], each["roleRef"]["name"]]:
                rights._grant(rule, namespace)
        return rights

    def check(self, group: str, resource: str, verb: str, namespace: str) -> None:
        """Raises 403 where it is not granted."""
        places = self.granted.get((group, resource, verb), set())
        if "" not in places and namespace not in places:
            said = (
                f'cannot {verb} resource "{resource}" in API group "{group}" in the namespace "{namespace}"'
            )
            self.refused.append(said)
            raise RefusedError(403, "Forbidden", said)
        self.used.add((group, resource, verb))

    def _grant(self, rule: dict[str, Any], namespace: str) -> None:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    self.granted.setdefault((group, resource, verb), set()).add(namespace)
