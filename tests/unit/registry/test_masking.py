"""What a failure of the database says: no secret of its URL, and no more taken away than those."""

import pytest

from services.registry.store.database import Database
from skewless.settings import Secret

URL = "postgresql://keeper:swordfish@here:1/catalogue?sslmode=require&sslpassword=marlin&passfile=/keys/pass"


def test_secrets_are_masked_and_nothing_else() -> None:
    database = Database(Secret(URL), connections=1, lock_wait_s=1)
    detail = 'server at "here" does not support SSL, but sslmode=require; swordfish, marlin, /keys/pass'
    told = 'server at "here" does not support SSL, but sslmode=require; ***, ***, ***'
    assert told in str(database.away(detail))


@pytest.mark.parametrize("option", ["password", "sslpassword", "passfile"])
def test_a_secret_option_is_masked(option: str) -> None:
    database = Database(Secret(f"postgresql://here:1/catalogue?{option}=marlin"), connections=1, lock_wait_s=1)
    assert "marlin" not in str(database.away("marlin is wrong"))
