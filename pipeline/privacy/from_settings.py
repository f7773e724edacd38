"""The policy and the masker that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.privacy.policy import Policy

if TYPE_CHECKING:
    from pipeline.privacy.masker import Masker
    from pipeline.settings import Settings


def policy_of(settings: Settings) -> Policy:
    """Return what the settings take for secret."""
    return Policy(
        settings.custom_sensitive_fields,
        patterns=settings.mask_patterns,
        allow=settings.mask_allow,
        personal_data=settings.mask_personal_data,
        thinking=settings.mask_thinking,
        tracebacks=settings.mask_tracebacks,
        preset=settings.mask_preset,
    )


def masker_of(settings: Settings, policy: Policy | None = None) -> Masker:
    """Return the masker of the settings."""
    from pipeline.privacy.masker import Masker

    hash_key = settings.mask_hash_key.encode()[:64] or None
    return Masker.of(policy or policy_of(settings), settings.mask_strategy, hash_key)
