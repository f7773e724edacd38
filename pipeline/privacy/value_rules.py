"""Secrets that a standard or a habit gave their form: headers, URLs, key files, home directories."""

from __future__ import annotations

from typing import Final

from pipeline.privacy.key_rules import KEY_RULES
from pipeline.privacy.rules import (
    PLAIN,
    USER,
    Rule,
    has_digit,
    is_base64,
    is_card,
    is_phone,
    is_token,
    is_written,
)

_USER_NAME: Final = r"""[^\s/\\"'`:;,<>|?*$(){}\[\]&=%]"""

VALUE_RULES: Final = (
    *KEY_RULES,
    Rule(
        "private_key",
        "-----begin [0-9a-z ]*private key",
        r"(?s:(-----BEGIN (?:[0-9A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END (?:[0-9A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)))",
        "RFC 7468, RFC 4880",
        PLAIN,
        needles=("-----begin",),
    ),
    Rule(
        "slack_webhook",
        r"hooks\.slack\.com/[a-z]+/[0-9a-z]{4}",
        r"(hooks\.slack\.com/(?:services|workflows|triggers)/[0-9A-Za-z_/+-]{20,})",
        "Slack: incoming webhooks",
        PLAIN,
        needles=(r"hooks\.slack\.com/",),
    ),
    Rule(
        "discord_webhook",
        "/webhooks/[0-9]{4}",
        r"discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/([0-9]+/[0-9A-Za-z_-]{20,})",
        "Discord: webhooks",
        PLAIN,
        needles=("/webhooks/",),
    ),
    Rule(
        "bearer",
        r"bearer(?: |\+|%20)+[0-9a-z._~+/=-]{6}",
        r"(?i:bearer)(?: +|\+|%20)([0-9A-Za-z._~+/=-]{6,})",
        "RFC 6750",
        PLAIN,
        is_token,
        needles=("bearer",),
    ),
    Rule(
        "basic",
        r"basic(?: |\+|%20)+[0-9a-z+/]{8}",
        r"(?i:basic)(?: +|\+|%20)([0-9A-Za-z+/]{8,}={0,2})",
        "RFC 7617",
        PLAIN,
        is_base64,
        needles=("basic ", r"basic\+", "basic%20"),
    ),
    Rule(
        "url_password",
        r"""://[^\s/?#"'<>:@\\]*:[^\s"'<>/\\]+@""",
        r"""://[^\s/?#"'<>:@\\]*:([^\s"'<>/\\]+)@""",
        "RFC 3986",
        PLAIN,
        needles=("@",),
    ),
    Rule(
        "url_user",
        "://[0-9a-z_-]+@",
        "https?://([0-9A-Za-z_-]{20,})@",
        "RFC 3986: a token in place of the user",
        accept=has_digit,
        needles=("@",),
    ),
    Rule(
        "url_signature",
        r"""(?:sig|signature|security-token)=[^\s&#"'<>\\]""",
        r"""(?i:[?&;](?:x-(?:amz|goog|oss)-)?(?:sig|signature|security-token)=)([^\s&#"'<>\\]{8,})""",
        "AWS, Azure, Google: signed URLs",
        PLAIN,
        needles=("sig=", "signature=", "security-token="),
    ),
    Rule(
        "sql_password",
        "(?:identified by|password) +'",
        r"(?i:(?:identified +by|password) +')([^'\r\n]+)'",
        "SQL: CREATE USER, ALTER USER",
        PLAIN,
        is_written,
        needles=("identified by", "password "),
    ),
    Rule(
        "netrc_password",
        r"login(?: |\\+[nrt])+[^\s\"\\]+(?: |\\+[nrt])+password(?: |\\+[nrt])",
        r"(?i:\blogin\s+\S+\s+password\s+)(\S+)",
        "netrc(5)",
        PLAIN,
        needles=("login",),
    ),
    Rule("sshpass", "sshpass +-p", r"\bsshpass +-p *(\S+)", "sshpass(1)", PLAIN, needles=("sshpass",)),
    Rule(
        "home_directory",
        rf"/(?:home|users)/{_USER_NAME}",
        rf"(?:^|[^\w./~-]|file://|\\[bfnrt])/(?:home|Users)/({_USER_NAME}+)",
        "directories below /home and /Users",
        USER,
        needles=("/home/", "/users/"),
    ),
    Rule(
        "home_directory_windows",
        rf"users\\+{_USER_NAME}",
        rf"(?i:[a-z]:\\+users\\+)({_USER_NAME}+)",
        r"directories below C:\Users",
        USER,
        needles=(r"users\\",),
    ),
)

PERSONAL_RULES: Final = (
    Rule(
        "email",
        r"@[0-9a-z-]+\.[0-9a-z.-]*[a-z]",
        r"([0-9A-Za-z._%+-]+@(?:[0-9A-Za-z-]+\.)+[A-Za-z]{2,})",
        "RFC 5321",
        PLAIN,
    ),
    Rule(
        "card_number",
        r"[2-6][0-9](?:[ -]?[0-9]){11}",
        r"(?:^|[^0-9A-Za-z.])([2-6][0-9](?:[ -]?[0-9]){10,16}[0-9])",
        "ISO/IEC 7812, with its check digit",
        PLAIN,
        is_card,
    ),
    Rule(
        "phone",
        r"\+[1-9][0-9 ().-]{6}|[2-9][0-9]{2}\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4}|1[3-9][0-9]{9}"
        r"|1[3-9][0-9][ -][0-9]{4}[ -][0-9]{4}",
        r"(?:^|[^0-9A-Za-z.-])(\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}"
        r"|\(?[2-9][0-9]{2}\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4}"
        r"|1[3-9][0-9]{9}|1[3-9][0-9][ -][0-9]{4}[ -][0-9]{4})",
        "E.164, North America, mainland China",
        PLAIN,
        is_phone,
    ),
)
"""Only with `mask_personal_data`."""
