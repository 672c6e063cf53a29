"""LiteRT's C library, by ctypes.

Its functions change between releases without notice, so only those that this was tried with are
called, and models are run in processes of their own.
"""

import ctypes
import os
import re
import sys

from .result import JobError

NAME = "libLiteRt.so"
TRIED = ("2.3.",)
CPU = 1
READ, WRITE = 0, 1
# A ranked tensor type is an element type, a rank and flags, then the dimensions.
DIMENSIONS, LARGEST_RANK = 2, 8
RANK_BITS = 127


def find(path=""):
    """Return the library's path and version.

    Args:
        path: where it is; empty to look beside the package on Python's path.

    Raises:
        JobError: it is not there, or of a version that this was not tried with.
    """
    if path:
        places = [path]
    else:
        folders = [folder or "." for folder in sys.path]
        places = [os.path.join(f, "ai_edge_litert", NAME) for f in folders]
        places += [os.path.join(f, NAME) for f in folders]
    for place in places:
        if os.path.isfile(place):
            version = _version(os.path.dirname(os.path.abspath(place)))
            if version and not version.startswith(TRIED):
                raise JobError("%s is of version %s; %sx is needed" % (place, version, TRIED[0]))
            return place, version
    raise JobError("not found" if not path else "%s is not there" % path)


def _version(folder):
    """Return the version that the package around the library has, or nothing."""
    try:
        with open(os.path.join(folder, "__init__.py"), encoding="utf-8") as stream:
            found = re.search(r'^__version__ = "([\w.+-]+)"', stream.read(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found else ""


class Library:
    """The library's functions; every call that fails is a `JobError`."""

    def __init__(self, path):
        self.functions = ctypes.CDLL(str(path))
        libc = ctypes.CDLL(None)
        self.copy = libc.strdup
        self.copy.restype, self.copy.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        libc.free.argtypes = [ctypes.c_void_p]
        self.release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda place: libc.free(place))

    def _function(self, name):
        try:
            return getattr(self.functions, "LiteRt" + name)
        except AttributeError:
            raise JobError("%s is another than was tried: it has no %s" % (NAME, name)) from None

    def call(self, name, *arguments):
        """Call a function that answers with a status."""
        function = self._function(name)
        function.restype = ctypes.c_int
        status = function(*arguments)
        if status:
            raise JobError("LiteRT failed in %s (status %d)" % (name, status))

    def get(self, name, *arguments, kind=ctypes.c_void_p):
        """Call a function that puts its answer behind its last argument."""
        answer = kind()
        self.call(name, *arguments, ctypes.byref(answer))
        return answer

    def option(self, options, identifier, text):
        """Add options that the library reads as TOML, and frees."""
        place = ctypes.c_void_p(self.copy(text))
        self.call(
            "AddOpaqueOptions",
            options,
            self.get("CreateOpaqueOptions", identifier, place, self.release),
        )


class Port:
    """An input or output of a compiled model: a buffer of so many bytes, under a name."""

    def __init__(self, name, buffer, size, element):
        self.name, self.buffer, self.size, self.element = name, buffer, size, element


class Compiled:
    """A model compiled for the CPU, and buffers for its first signature.

    Args:
        library: LiteRT.
        path: a .tflite file.
        threads: how many.
        options: further ones, as pairs of an identifier and TOML.
    """

    def __init__(self, library, path, threads, options=()):
        self.library = library
        self.environment = ctypes.c_void_p()
        library.call("CreateEnvironment", 0, None, ctypes.byref(self.environment))
        self.file = library.get("CreateModelFromFile", self.environment, os.fsencode(path))
        self.options = library.get("CreateOptions")
        library.call("SetOptionsHardwareAccelerators", self.options, ctypes.c_int(CPU))
        library.option(self.options, b"xnnpack", b"num_threads = %d\n" % threads)
        for identifier, text in options:
            library.option(self.options, identifier, text)
        self.model = library.get("CreateCompiledModel", self.environment, self.file, self.options)
        self.signature = library.get("GetModelSignature", self.file, ctypes.c_size_t(0))
        self.inputs, self.outputs = self._ports("Input"), self._ports("Output")
        self._buffers = [
            (ctypes.c_void_p * len(ports))(*[port.buffer for port in ports])
            for ports in (self.inputs, self.outputs)
        ]

    def _ports(self, kind):
        library, found = self.library, []
        count = library.get("GetNumSignature%ss" % kind, self.signature, kind=ctypes.c_size_t)
        for number in range(count.value):
            index = ctypes.c_size_t(number)
            named = "GetSignature%sName" % kind
            name = library.get(named, self.signature, index, kind=ctypes.c_char_p)
            tensor = library.get("GetSignature%sTensorByIndex" % kind, self.signature, index)
            ranked = (ctypes.c_int32 * 32)()
            library.call("GetRankedTensorType", tensor, ranked)
            rank = min(ranked[1] & RANK_BITS, LARGEST_RANK)
            for place in range(DIMENSIONS, DIMENSIONS + rank):
                ranked[place] = max(ranked[place], 1)
            needs = library.get(
                "GetCompiledModel%sBufferRequirements" % kind,
                self.model,
                ctypes.c_size_t(0),
                index,
            )
            size = library.get("GetTensorBufferRequirementsBufferSize", needs, kind=ctypes.c_size_t)
            buffer = library.get(
                "CreateManagedTensorBufferFromRequirements", self.environment, ranked, needs
            )
            text = (name.value or b"").decode("utf-8", "replace")
            found.append(Port(text, buffer, size.value, ranked[0]))
        return found

    def write(self, port, data):
        """Put bytes into an input, no more than it holds."""
        place = ctypes.c_void_p()
        self.library.call("LockTensorBuffer", port.buffer, ctypes.byref(place), WRITE)
        ctypes.memmove(place, data, min(len(data), port.size))
        self.library.call("UnlockTensorBuffer", port.buffer)

    def read(self, port, size):
        """Return the first bytes of an output."""
        place = ctypes.c_void_p()
        self.library.call("LockTensorBuffer", port.buffer, ctypes.byref(place), READ)
        data = ctypes.string_at(place, min(size, port.size))
        self.library.call("UnlockTensorBuffer", port.buffer)
        return data

    def run(self):
        """Run the model once."""
        self.library.call(
            "RunCompiledModel",
            self.model,
            ctypes.c_size_t(0),
            ctypes.c_size_t(len(self.inputs)),
            self._buffers[0],
            ctypes.c_size_t(len(self.outputs)),
            self._buffers[1],
        )
