"""Many events, one look: the first of a stretch of time waits for its end, the others go."""

import time

from pipeline.triggers.store import Store


def wait_for_more(store: Store, event_id: str, wait: float) -> bool:
    """Waits for the events that come soon after this one.

    Args:
        store: What all triggers of the pipeline share.
        event_id: The event's own id: sent again after a failure, it waits again.
        wait: Seconds of a stretch.

    Returns:
        Whether this event is the one that looks, now, for all of the stretch.
    """
    now = time.time()
    stretch = int(now // wait)
    name = f"stretch-{stretch}"
    content = event_id.encode()
    # Reading first spares a bucket the writes of one name, of which it takes one a second.
    claimed = store.read(name) or (content if store.create(name, content) else store.read(name))
    if claimed != content:
        return False
    time.sleep((stretch + 1) * wait - now)
    for earlier in store.names():
        if earlier.startswith("stretch-") and int(earlier.removeprefix("stretch-")) < stretch:
            store.delete(earlier)
    return True
