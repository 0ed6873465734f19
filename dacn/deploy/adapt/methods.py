"""Which methods there are, and what is asked of a name and a network before one of them begins."""

from collections.abc import Mapping
from typing import Any

from dacn.data.classes.names import composed
from dacn.deploy.adapt.adapter import Adapter
from dacn.deploy.adapt.context import Context
from dacn.deploy.adapt.eata import Eata
from dacn.deploy.adapt.lame import Lame
from dacn.deploy.adapt.row import has_tables
from dacn.deploy.adapt.sar import Sar
from dacn.deploy.adapt.shot import Shot
from dacn.deploy.adapt.tent import Tent
from dacn.deploy.network import INFERRED, UNKNOWN, Network
from dacn.errors import DacnError, did_you_mean

METHODS: Mapping[str, type[Adapter]] = {
    "context": Context,
    "eata": Eata,
    "lame": Lame,
    "sar": Sar,
    "shot": Shot,
    "tent": Tent,
}
"""Name to its class; `lame` leaves no network behind, and `shot` needs all images at once."""
OFFLINE = tuple(name for name in METHODS if name != "lame")
ONLINE = tuple(name for name in METHODS if name != "shot")


def require_method(method: str, allowed: tuple[str, ...]) -> None:
    """Make sure that a method can be asked for.

    Raises:
        DacnError: there is no such method, or not here.
    """
    if method in allowed:
        return
    if method == "lame":
        raise DacnError(
            "--method lame: corrects the predictions of a batch and leaves no network behind; "
            "dacn predict RUN IMAGES --adapt online --method lame"
        )
    if method == "shot":
        raise DacnError(
            "--method shot: passes several times over all the images, which a stream does not allow; "
            "dacn adapt RUN IMAGES --method shot"
        )
    raise DacnError(f"--method {method}: no such method{did_you_mean(method, allowed)}; {', '.join(allowed)}")


def require_name(network: Network, name: str) -> str:
    """Return the name of a new context as it is kept.

    Raises:
        DacnError: it is taken, means something else, or cannot be printed.
    """
    name = composed(name)
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise DacnError(f"--name {name!a}: expected a name of up to 100 characters that can be printed")
    if name in (INFERRED, UNKNOWN, "target", "source"):
        raise DacnError(f"--name {name}: means something else to --context; choose another name")
    if name in network.contexts:
        raise DacnError(
            f"--name {name}: {network.checkpoint} has a context of that name already ({', '.join(network.contexts)}); "
            "choose another name"
        )
    return name


def make_adapter(method: str, network: Network, row: int, options: Mapping[str, Any]) -> Adapter:
    """Return a method at work on a network that has a row for the new context.

    Raises:
        DacnError: the network or the options do not allow it.
    """
    try:
        return METHODS[method](network.model, row, **options)
    except ValueError as error:
        hint = "" if has_tables(network.model) else "; of such networks --method sar moves scale and shift"
        raise DacnError(f"--method {method}: {error}{hint}") from error
    except TypeError as error:
        raise DacnError(f"--method {method}: {str(error).partition('() ')[2] or error}") from error
