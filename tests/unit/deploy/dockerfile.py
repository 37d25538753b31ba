"""Reads a Dockerfile as far as ours goes: stages, instructions, JSON and shell forms. Anything else is an error."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word, its flags such as `--from=build`, the rest."""

    word: str
    flags: dict[str, str]
    text: str

    @property
    def argv(self) -> list[str]:
        """The rest in exec form."""
        argv = json.loads(self.text.removeprefix("CMD").strip())
        assert isinstance(argv, list)
        return argv

    @property
    def pairs(self) -> dict[str, str]:
        """The rest of ENV or LABEL."""
        return {name: value.strip('"') for name, value in re.findall(r'([\w.]+)=("[^"]*"|\S+)', self.text)}


@dataclass(slots=True)
class Stage:
    """What begins with FROM."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        """Its instructions of one kind, in order."""
        return [item for item in self.instructions if item.word == word]

    def only(self, word: str) -> Instruction:
        """Its one instruction of this kind."""
        (found,) = self.all(word)
        return found


def read_stages(path: Path = DOCKERFILE) -> list[Stage]:
    """The stages of the Dockerfile, the last being the image."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.partition(" ")
        flags, rest = _flags(rest.strip())
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].instructions.append(Instruction(word, flags, rest))
    return stages


def _flags(rest: str) -> tuple[dict[str, str], str]:
    flags = {}
    while found := re.match(r"--([\w-]+)=(\S+)\s+", rest):
        flags[found[1]] = found[2]
        rest = rest[found.end() :]
    return flags, rest


def is_ignored(path: str, rules: Path = ROOT / ".dockerignore") -> bool:
    """Whether Docker leaves this path of the repository out: the last rule that fits it or a folder above decides."""
    ignored = False
    above = [str(part) for part in (Path(path), *Path(path).parents) if str(part) != "."]
    for rule in rules.read_text().splitlines():
        pattern = rule.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        regex = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(regex, part) for part in above):
            ignored = not rule.startswith("!")
    return ignored
