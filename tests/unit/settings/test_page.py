"""The page of settings says what is declared."""

from tools.settings_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make settings-page`"


def test_it_has_every_service_and_shows_secrets_as_such() -> None:
    text = page()
    for heading in ("## registry", "## online", "## offline", "## stream_agg", "## validator"):
        assert f"\n{heading}\n" in text
    assert "| `database_url` | `SKEWLESS_DATABASE_URL` | secret |" in text
    assert "| `broker_password` | `SKEWLESS_BROKER_PASSWORD` | secret |" in text
