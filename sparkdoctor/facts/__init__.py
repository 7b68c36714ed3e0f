"""From a System to the typed facts of sparkdoctor.host: one source a module.

What cannot be read becomes a Fact with a problem, never a default. Nothing here needs root or
imports the software it looks at; where root would see more, the problem says so. The only commands that
are run are those of system.COMMANDS.
"""

from sparkdoctor.facts.gather import gather
from sparkdoctor.facts.wanted import CachedModel, Wanted

__all__ = ["CachedModel", "Wanted", "gather"]
