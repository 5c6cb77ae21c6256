"""The public registry of laws. A user's own law is named `module:Name`."""

from isoloss.core.registry import Registry
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.law import Law

laws: Registry[type[Law]] = Registry("law")
laws.add(Chinchilla.name, Chinchilla)
