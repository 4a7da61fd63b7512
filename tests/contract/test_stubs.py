"""The generated stubs import as they are, beside the packages whose contracts they use."""

import importlib
import pkgutil

from google.rpc import error_details_pb2

import skewless.api
from skewless.api.errors.v1 import reason_pb2


def test_every_stub_imports() -> None:
    names = [module.name for module in pkgutil.walk_packages(skewless.api.__path__, "skewless.api.")]
    assert names
    for name in names:
        importlib.import_module(name)


def test_validation_rules_share_the_pool_with_the_error_details() -> None:
    rules = importlib.import_module("buf.validate.validate_pb2")
    details = error_details_pb2.ErrorInfo(reason=reason_pb2.Reason.Name(reason_pb2.REASON_INVALID_ARGUMENT))
    assert details.reason == "REASON_INVALID_ARGUMENT"
    assert rules.field.name == "field"
