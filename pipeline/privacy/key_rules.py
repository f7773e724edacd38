"""Keys and tokens that their vendors gave a form of their own. The table is the documentation."""

from __future__ import annotations

import string
from typing import Final

from pipeline.privacy.rules import BEFORE, Rule, ends_there, has_digit, is_jwt, key

_A, _B, _H = "[0-9A-Za-z]", "[0-9A-Za-z_-]", "[0-9a-f]"
_B64 = "[0-9A-Za-z+/=_-]"


def _unlike(prefix: str, words: str) -> tuple[str, ...]:
    """Return the beginnings, all with one prefix, of whatever is none of some words."""
    known = {word[:size] for word in words.split() for size in range(len(prefix), len(word) + 1)}
    further = (start + character for start in known for character in string.digits + string.ascii_lowercase)
    return tuple(sorted(set(further) - known))


KEY_RULES: Final = (
    key("openai_style_key", "sk-", _B, 16, "OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse …", has_digit),
    key("elevenlabs_key", "sk_", _H, 40, "ElevenLabs: API keys"),
    key("aws_key_id", "AKIA ASIA ABIA ACCA", "[A-Z2-7]", 16, "AWS IAM: unique identifiers", ends_there),
    key("aws_bedrock_key", "ABSK", _B64, 40, "AWS Bedrock: API keys"),
    key(
        "github_token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        "[0-9A-Za-z_]",
        22,
        "GitHub: token formats",
    ),
    key(
        "gitlab_token",
        "glpat- gldt- glrt- glptt- glcbt- glsoat- glft- glimt- glagent- gloas-",
        "[0-9A-Za-z_.-]",
        20,
        "GitLab: token prefixes",
    ),
    key(
        "slack_token",
        "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xoxe.xoxb- xoxe.xoxp-",
        "[0-9A-Za-z-]",
        10,
        "Slack: token types",
        has_digit,
    ),
    key("slack_app_token", "xapp-", "[0-9A-Za-z-]", 20, "Slack: app-level tokens"),
    Rule(
        "discord_token",
        r"\.[0-9a-z_-]{6}\.[0-9a-z_-]{27}",
        rf"{BEFORE}([MNO]{_B}{{22,27}}\.{_B}{{6}}\.{_B}{{27,}})",
        "Discord: bot tokens",
        needles=(r"\.[0-9a-z_-]{6}\.",),
    ),
    key("google_api_key", "AIza", _B, 35, "Google Cloud: API keys"),
    key("google_oauth_secret", "GOCSPX-", _B, 20, "Google: OAuth clients"),
    key("google_oauth_token", "ya29.", _B, 20, "Google: OAuth access tokens"),
    key("google_refresh_token", "1//0", _B, 30, "Google: OAuth refresh tokens"),
    Rule(
        "jwt",
        rf"eyj{_B}{{8}}{_B}*\.",
        rf"{BEFORE}(eyJ{_B}{{8,}}(?:\.{_B}*){{2,4}})",
        "RFC 7519, RFC 7516",
        accept=is_jwt,
        needles=("eyj",),
    ),
    key("age_secret_key", "AGE-SECRET-KEY-1", "[0-9A-Z]", 50, "age: file format"),
    key("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_", _A, 10, "Stripe: API keys"),
    key("webhook_secret", "whsec_", "[0-9A-Za-z+/=]", 20, "Stripe, Svix: webhook signatures"),
    key("twilio_key", "SK", _H, 32, "Twilio: API keys", ends_there)._replace(
        needles=tuple(f"sk{digit}" for digit in "0123456789abcdef")
    ),
    Rule(
        "sendgrid_key",
        rf"sg\.{_B}{{16}}",
        rf"{BEFORE}(SG\.{_B}{{16,}}\.{_B}{{16,}})",
        "SendGrid: API keys",
        needles=(r"sg\.",),
    ),
    key("mailgun_key", "key-", _H, 32, "Mailgun: API keys", ends_there),
    Rule(
        "mailchimp_key",
        "[0-9a-f]-us[0-9]",
        rf"{BEFORE}({_H}{{32}}-us[0-9]{{1,2}})",
        "Mailchimp: API keys",
        needles=tuple(f"-us{digit}" for digit in range(10)),
    ),
    key("npm_token", "npm_", _A, 36, "npm: access tokens"),
    key("pypi_token", "pypi-AgE", _B, 50, "PyPI: API tokens"),
    key("huggingface_token", "hf_", "[A-Za-z]", 30, "Hugging Face: access tokens"),
    key("shopify_token", "shpat_ shpca_ shppa_ shpss_", _H, 32, "Shopify: access tokens"),
    key("digitalocean_token", "doo_v1_ dop_v1_ dor_v1_", _H, 60, "DigitalOcean: tokens"),
    Rule(
        "telegram_token",
        rf"[0-9]:aa{_B}{{6}}",
        rf"(?:^|[^0-9])([0-9]{{8,10}}:AA{_B}{{32,36}})",
        "Telegram: bot API",
        needles=tuple(f"{digit}:aa" for digit in range(10)),
    ),
    key("databricks_token", "dapi", _H, 32, "Databricks: personal access tokens"),
    key("linear_key", "lin_api_ lin_oauth_", _A, 32, "Linear: API keys"),
    key("notion_token", "secret_ ntn_", _A, 40, "Notion: integration tokens"),
    key("figma_token", "figd_ figo_ figu_", _B, 36, "Figma: access tokens"),
    key("postman_key", "PMAK-", "[0-9a-f-]", 50, "Postman: API keys"),
    key("grafana_token", "glsa_ glc_", "[0-9A-Za-z+/=_]", 32, "Grafana: service accounts, access policies"),
    key("sentry_token", "sntrys_ sntryu_", "[0-9A-Za-z+/=_]", 60, "Sentry: auth tokens"),
    key("newrelic_key", "NRAK-", "[0-9A-Z]", 27, "New Relic: user keys"),
    key("square_secret", "sq0atp- sq0csp-", _B, 22, "Square: access tokens, OAuth secrets"),
    key("dropbox_token", "sl.", _B, 100, "Dropbox: short-lived tokens"),
    key("atlassian_token", "ATATT3 ATCTT3", _B64, 60, "Atlassian: API tokens"),
    Rule(
        "azure_client_secret",
        "8q~[0-9a-z_~.-]{6}",
        r"(?:^|[^0-9A-Za-z_~.-]|\\[bfnrt])([0-9A-Za-z_~.-]{3}8Q~[0-9A-Za-z_~.-]{31,36})",
        "Entra ID: client secrets",
        needles=("8q~",),
    ),
    key(
        "doppler_token",
        "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.",
        "[0-9A-Za-z_.-]",
        40,
        "Doppler: tokens",
    ),
    key("vault_token", "hvs. hvb. hvr.", _B, 24, "HashiCorp Vault: tokens"),
    Rule(
        "terraform_token",
        rf"\.atlasv1\.{_B}{{4}}",
        rf"{BEFORE}({_A}{{14}}\.atlasv1\.{_B}{{60,}})",
        "Terraform Cloud: API tokens",
        needles=(r"\.atlasv1\.",),
    ),
    key("groq_key", "gsk_", _A, 40, "Groq: API keys"),
    key("xai_key", "xai-", _A, 60, "xAI: API keys"),
    key("replicate_token", "r8_", _A, 36, "Replicate: API tokens"),
    key("perplexity_key", "pplx-", _A, 40, "Perplexity: API keys"),
    key("nvidia_key", "nvapi-", _B, 50, "NVIDIA: API keys"),
    key("langsmith_key", "lsv2_pt_ lsv2_sk_", "[0-9a-f_]", 40, "LangSmith: API keys"),
    key("pinecone_key", "pcsk_", "[0-9A-Za-z_]", 50, "Pinecone: API keys"),
    key("tavily_key", "tvly-", _B, 28, "Tavily: API keys", has_digit),
    key("docker_token", "dckr_pat_ dckr_oat_", _B, 24, "Docker Hub: access tokens"),
    key("rubygems_key", "rubygems_", _H, 40, "RubyGems: API keys"),
    key("supabase_token", "sbp_ sbs_", _H, 40, "Supabase: access tokens"),
    key(
        "planetscale_token",
        "pscale_tkn_ pscale_pw_ pscale_oauth_",
        "[0-9A-Za-z_.-]",
        32,
        "PlanetScale: tokens",
    ),
    key("pulumi_token", "pul-", _H, 40, "Pulumi: access tokens"),
    Rule(
        "airtable_token",
        r"pat[0-9a-z]{14}\.[0-9a-f]{6}",
        rf"{BEFORE}(pat{_A}{{14}}\.{_H}{{64}})",
        "Airtable: personal access tokens",
        needles=_unlike("pat", "path pattern"),
    ),
    key("alibaba_key_id", "LTAI", _A, 16, "Alibaba Cloud: AccessKey"),
    key("tencent_key_id", "AKID", _A, 32, "Tencent Cloud: SecretId"),
    Rule(
        "resend_key",
        "re_[0-9a-z]{8}_[0-9a-z]{6}",
        rf"{BEFORE}(re_{_A}{{8}}_{_A}{{20,}})",
        "Resend: API keys",
        accept=has_digit,
        needles=(r"[^0-9a-z]re_", r"\\[bfnrt]re_", r"\\u[0-9a-f]{4}re_"),
    ),
    key("tailscale_key", "tskey-", "[0-9A-Za-z-]", 20, "Tailscale: keys"),
    key("netlify_token", "nfp_ nfc_ nfo_ nfu_", _A, 36, "Netlify: access tokens"),
    key("sonarqube_token", "sqp_ squ_ sqa_", _H, 40, "SonarQube: tokens"),
    key("circleci_token", "CCIPAT_", "[0-9A-Za-z_]", 40, "CircleCI: API tokens"),
    key("contentful_token", "CFPAT-", _B, 40, "Contentful: tokens"),
    key(
        "dynatrace_token",
        "dt0c01. dt0s01. dt0s02. dt0s03. dt0s08. dt0s16.",
        "[0-9A-Z.]",
        40,
        "Dynatrace: tokens",
    ),
    Rule(
        "mapbox_token",
        rf"sk\.eyj{_B}{{6}}",
        rf"{BEFORE}(sk\.eyJ{_B}{{20,}}(?:\.{_B}+)*)",
        "Mapbox: secret tokens",
        needles=(r"sk\.eyj",),
    ),
    key("buildkite_token", "bkua_ bkaj_ bkct_", _A, 32, "Buildkite: API tokens"),
    key("flutterwave_key", "FLWSECK- FLWSECK_TEST-", "[0-9A-Za-z-]", 24, "Flutterwave: secret keys"),
    key("heroku_key", "HRKU-", _B, 36, "Heroku: API keys"),
    key("prefect_key", "pnu_ pnb_", _A, 36, "Prefect: API keys"),
    key("onepassword_token", "ops_eyJ", _B64, 60, "1Password: service accounts"),
)
