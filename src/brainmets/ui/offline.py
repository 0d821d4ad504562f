"""What Streamlit would ask hosts outside, answered without asking."""

from __future__ import annotations

__all__ = ["stay_offline"]

LOOPBACK = "127.0.0.1"


def stay_offline() -> None:
    """Send no usage statistics and look up no address of this computer, whatever its settings.

    Streamlit asks checkip.amazonaws.com for the address under which others see this computer, to
    print it at the start and whenever a page elsewhere tries to connect. Pages of the same host
    are let in before that; other pages are refused all the same.
    """
    from streamlit import config, net_util

    for cached in ("_internal_ip", "_external_ip"):
        setattr(net_util, cached, LOOPBACK)
    config.set_option("browser.gatherUsageStats", False)  # noqa: FBT003 - takes it by position
