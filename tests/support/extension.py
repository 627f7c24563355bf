"""The ComfyUI extension (adapters/comfyui), loaded by its path as ComfyUI loads a folder of custom_nodes."""
import contextlib
import importlib
import importlib.util
import os
import sys
import types

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "adapters", "comfyui")
PARTS = "comfy_relay_parts"
VARIABLES = "COMFY_RELAY_"


def load(environ=None, folder=FOLDER):
    """The package, run anew: all that importing it does happens again. With `environ` these variables, and no other
    COMFY_RELAY_*, are set while it runs; without, the environment is as it is."""
    name = folder.replace(".", "_x_")
    forget(name)
    spec = importlib.util.spec_from_file_location(name, os.path.join(folder, "__init__.py"))
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    with variables(environ):
        spec.loader.exec_module(package)
    return package


def module(name):
    """A part of it, such as "event", without running the package: nothing is hooked or started. Always the same one."""
    if PARTS not in sys.modules:
        parts = types.ModuleType(PARTS)
        parts.__path__ = [FOLDER]
        sys.modules[PARTS] = parts
    return importlib.import_module(f"{PARTS}.{name}")


def forget(package):
    """The next import of it, or of a part of it, runs again."""
    for name in list(sys.modules):
        if name == package or name.startswith(package + "."):
            del sys.modules[name]


@contextlib.contextmanager
def variables(environ):
    """These COMFY_RELAY_* variables and no others; None: as they are."""
    before = dict(os.environ)
    if environ is not None:
        for name in before:
            if name.startswith(VARIABLES):
                del os.environ[name]
        os.environ.update(environ)
    try:
        yield
    finally:
        for name in set(os.environ) | set(before) if environ is not None else ():
            if before.get(name) is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = before[name]
