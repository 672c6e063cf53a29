"""Which processor this is, and whether it is a real one."""

from .machine import read_text, values

# Implementers and parts as Linux prints them: the fields of the register MIDR_EL1.
ARM, QUALCOMM = 0x41, 0x51
PARTS = {
    (ARM, 0xB76): "ARM1176",
    (ARM, 0xC07): "Cortex-A7",
    (ARM, 0xC08): "Cortex-A8",
    (ARM, 0xC09): "Cortex-A9",
    (ARM, 0xC0F): "Cortex-A15",
    (ARM, 0xD03): "Cortex-A53",
    (ARM, 0xD04): "Cortex-A35",
    (ARM, 0xD05): "Cortex-A55",
    (ARM, 0xD07): "Cortex-A57",
    (ARM, 0xD08): "Cortex-A72",
    (ARM, 0xD09): "Cortex-A73",
    (ARM, 0xD0A): "Cortex-A75",
    (ARM, 0xD0B): "Cortex-A76",
    (ARM, 0xD0C): "Neoverse-N1",
    (ARM, 0xD0D): "Cortex-A77",
    (ARM, 0xD0E): "Cortex-A76AE",
    (ARM, 0xD40): "Neoverse-V1",
    (ARM, 0xD41): "Cortex-A78",
    (ARM, 0xD42): "Cortex-A78AE",
    (ARM, 0xD44): "Cortex-X1",
    (ARM, 0xD46): "Cortex-A510",
    (ARM, 0xD47): "Cortex-A710",
    (ARM, 0xD48): "Cortex-X2",
    (ARM, 0xD49): "Neoverse-N2",
    (ARM, 0xD4B): "Cortex-A78C",
    (ARM, 0xD4D): "Cortex-A715",
    (ARM, 0xD4E): "Cortex-X3",
    (ARM, 0xD4F): "Neoverse-V2",
    (ARM, 0xD80): "Cortex-A520",
    (ARM, 0xD81): "Cortex-A720",
    (ARM, 0xD82): "Cortex-X4",
    (QUALCOMM, 0x802): "Kryo 385 Gold",
    (QUALCOMM, 0x803): "Kryo 385 Silver",
    (QUALCOMM, 0x804): "Kryo 485 Gold",
    (QUALCOMM, 0x805): "Kryo 485 Silver",
}
VIRTUAL_BOARDS = ("linux,dummy-virt", "qemu")


def name(root="/"):
    """Return the processor's name, all kinds of its cores, or an empty text.

    Args:
        root: the folder that stands for the root of the file system.
    """
    text = read_text("proc/cpuinfo", root)
    parts = list(zip(values(text, "CPU implementer"), values(text, "CPU part")))
    kinds = []
    for implementer, part in parts:
        kind = _part(implementer, part)
        if kind not in kinds:
            kinds.append(kind)
    if kinds:
        return " + ".join(kinds)
    for key in ("model name", "Model", "Hardware"):
        for value in values(text, key):
            return value
    return board(root)


def _part(implementer, part):
    try:
        return PARTS[int(implementer, 16), int(part, 16)]
    except (KeyError, ValueError):
        return "ARM implementer %s part %s" % (implementer, part)


def board(root="/"):
    """Return the board's name, such as `Raspberry Pi 4 Model B Rev 1.4`, or an empty text."""
    return read_text("proc/device-tree/model", root)


def emulated(machine, root="/"):
    """Return why times here are not a real processor's, or an empty text.

    A virtual machine on a processor of its own kind (KVM) runs at that processor's speed.

    Args:
        machine: the architecture that Python was built for, as `platform.machine()` tells it.
        root: the folder that stands for the root of the file system.
    """
    arm = machine.startswith(("aarch64", "arm"))
    text = read_text("proc/cpuinfo", root)
    if arm and values(text, "vendor_id") and not values(text, "CPU implementer"):
        host = "".join(values(text, "model name")[:1]) or "another processor"
        return "qemu-user runs %s code on %s" % (machine, host)
    compatible = read_text("proc/device-tree/compatible", root).replace("\0", " ")
    if any(board_name in compatible for board_name in VIRTUAL_BOARDS):
        return "a qemu virtual machine"
    if arm and read_text("sys/class/dmi/id/sys_vendor", root) == "QEMU":
        return "a qemu virtual machine"
    if any(value.startswith("QEMU TCG") for value in values(text, "model name")):
        return "a qemu virtual machine"
    return ""
