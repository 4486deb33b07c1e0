"""Serve the studio: a page in the browser, and the API behind it, on this machine.

Works as it is, with the models that come with the project; models of your own come in by --models.
"""

from __future__ import annotations

import logging
import socket
import threading
import warnings
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from envs import UserError
from experiments.run import main

#: How long answers may go on after Ctrl-C, in seconds.
_PATIENCE = 2


@dataclass
class LimitOptions:
    """What one request may ask for, and how many requests are taken.

    Attributes:
        body: bytes in the body of a request.
        cells: tiles in a level that is sent.
        count: levels that may be asked for at once.
        seconds: the time that a solver may be asked to take for a level.
        workers: requests that are computed side by side; 0 takes one for each processor core.
        queue: requests that may wait besides; all others are refused at once.
    """

    body: int = 1 << 20
    cells: int = 4096
    count: int = 64
    seconds: float = 10.0
    workers: int = 0
    queue: int = 64


@dataclass
class StudioOptions:
    """Serve the studio: a page in the browser, and the API behind it.

    Attributes:
        host: the address to listen on; 127.0.0.1 is this machine alone, 0.0.0.0 all who can reach it.
        port: the port to listen on; 0 takes any that is free.
        token: what clients must know; without it everybody who can reach the service may use it.
        hosts: the names, besides localhost and addresses, that the service may be called by where there is no token.
        models: folders of runs, and of saved or exported models, to serve beside those that come with the project.
        engine: what runs models that can be run by either: onnx (ONNX Runtime) or torch.
        limits: what one request may ask for.
        open: whether to open the page in a browser.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    hosts: tuple[str, ...] = ()
    models: tuple[Path, ...] = ()
    engine: Literal["onnx", "torch"] = "onnx"
    limits: LimitOptions = field(default_factory=LimitOptions)
    open: bool = True


def studio(options: StudioOptions) -> None:
    """Serves until Ctrl-C.

    Raises:
        UserError: an option cannot be used, a package is missing, or the address is taken.
    """
    try:
        import fastapi  # noqa: F401, PLC0415 (an extra)
        import prometheus_client  # noqa: F401, PLC0415
        import python_multipart  # noqa: F401, PLC0415
        import uvicorn  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            f"The studio needs {error.name}, which is not installed: python -m pip install 'tilewright[serve]'."
        ) from error
    from service.app import make_app  # noqa: PLC0415 (needs what was just looked for)
    from service.limits import Limits  # noqa: PLC0415
    from service.models import Catalogue  # noqa: PLC0415

    # FastAPI keeps this from its users by a filter that other threads, such as the one that warms up, take away again.
    warnings.filterwarnings("ignore", message="The 'alias' attribute with value", category=UserWarning)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    catalogue = Catalogue.of(options.models, options.engine)
    hosts = (*options.hosts, options.host)
    app = make_app(catalogue, Limits(**vars(options.limits)), options.token, hosts, warm=True)
    listening = _listen(options.host, options.port)
    port = listening.getsockname()[1]
    shown = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{shown}:{port}/"
    query = f"?token={quote(options.token, safe='')}" if options.token else ""
    print(f"The studio is at {address}{query} (its API at {address}docs); Ctrl-C ends it.", flush=True)
    if not options.token and options.host not in ("127.0.0.1", "localhost", "::1"):
        print("Everybody who can reach this machine may use it; --token WORD asks for a word.", flush=True)
    if options.open:
        threading.Timer(0.5, webbrowser.open, (address + query,)).start()
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_PATIENCE, server_header=False)
    uvicorn.Server(config).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens, so that who connects before the service has started is kept waiting.

    Raises:
        UserError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The event loop sends answers without delay only where a socket says that it speaks TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"The studio cannot listen on {host}:{port} ({reason}); choose another by --host or --port."
        ) from error
    return listening


def cli(arguments: list[str] | None = None) -> None:
    """Runs `studio` from the command line; None takes the process's own arguments."""
    main(StudioOptions, studio, arguments)


if __name__ == "__main__":
    cli()
