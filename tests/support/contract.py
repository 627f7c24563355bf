"""What a publisher decides of an event, of its envelope (adapters/WORKERS.md): by the ComfyUI extension's own rules."""
import extension

event = extension.module("event")


def conflation_key(envelope):
    """What an envelope's newer events with the same key make superfluous; "" for one that must arrive, in order."""
    kind, data, keep = envelope["type"], envelope.get("data"), envelope.get("keep")
    fields = data if isinstance(data, dict) else {}
    key = "" if keep is True else event.text_key(kind, fields, envelope.get("worker")) or preview_key(kind, data)
    return key or keep is False and event.key_of(kind, fields.get("prompt_id"), fields.get("node")) or ""


def preview_key(kind, data):
    if isinstance(data, bytes):
        return event.raw_key(kind, data)
    if kind in (event.PREVIEW, event.UNENCODED_PREVIEW):
        return event.picture_key(data[0], None)
    return event.picture_key(data[0][0], data[1]) if kind == event.PREVIEW_WITH_METADATA else ""


def ends_prompt(envelope):
    """Whether an envelope ends its prompt."""
    data = envelope.get("data")
    return event.is_end(envelope["type"], data if isinstance(data, dict) else {})
