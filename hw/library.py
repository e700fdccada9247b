"""Identical blocks as one module: the platform of the Verilog export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring

__all__ = ["TECHNOLOGIES", "ModuleLibrary", "place", "technology_of"]

#: What memories can be made of: inferred ones that any tool understands, or cells of one FPGA family.
TECHNOLOGIES = ("generic", "ecp5", "ice40", "gowin")


class ModuleLibrary:
    """Verilog modules made once however often they are used, for one technology.

    Amaranth emits one module per use of a component. An array of a thousand equal processing elements
    would be a thousand modules, slow to emit and slow for every tool behind.

    Parameters
    ----------
    technology : :class:`str`
        One of :data:`TECHNOLOGIES`; anything else raises :class:`ValueError`.
    """

    def __init__(self, technology: str = "generic") -> None:
        if technology not in TECHNOLOGIES:
            raise ValueError(
                f"technology must be one of {', '.join(TECHNOLOGIES)}, not {technology!r}"
            )
        self.technology = technology
        #: Verilog text of each module by name.
        self.modules: dict[str, str] = {}
        self._signatures: dict[str, wiring.Signature] = {}

    def instance(self, name: str, make: Callable[[], wiring.Component]) -> tuple[Any, Instance]:
        """Return the ports of one more use of module ``name`` and its instance."""
        if name not in self.modules:
            component = make()
            self._signatures[name] = component.signature
            self.modules[name] = verilog.convert(
                component, name=name, platform=self, emit_src=False, strip_internal_attrs=True
            )
        signature = self._signatures[name]
        ports = signature.create()
        connections = {}
        for path, member, value in signature.flatten(ports):
            direction = "i" if member.flow == wiring.In else "o"
            connections[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
        return ports, Instance(name, i_clk=ClockSignal(), i_rst=ResetSignal(), **connections)


def technology_of(platform: object) -> str:
    """Return the technology that a component is elaborated for: "generic" outside a library."""
    return platform.technology if isinstance(platform, ModuleLibrary) else "generic"


def place(
    m: Module, platform: object, submodule: str, name: str, make: Callable[[], wiring.Component]
) -> Any:
    """Add the component that ``make`` makes to ``m`` and return its ports.

    Where ``platform`` is a :class:`ModuleLibrary` it becomes an instance of module ``name``; ``make`` must
    then make the same hardware for the same name.
    """
    if isinstance(platform, ModuleLibrary):
        ports, m.submodules[submodule] = platform.instance(name, make)
    else:
        m.submodules[submodule] = ports = make()
    return ports
